"""Labels of the T1 image pass to the sequences in which the kidneys agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from FlareMRCore.data.phantom import phantom_geometry
from FlareMRCore.data.phantom_anatomy import make_anatomy
from FlareMRCore.data.phantom_render import render
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.filter_report import read_filter_report
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_kidney import FilterKidneyParameters
from Testing.core.pipeline.label_cases import context, labeled_case

GRID = phantom_geometry((3.0, 2.5, 2.5), extent_mm=(168.0, 150.0, 225.0), center=(0.0, -20.0, 20.0))


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """Aligned and moved sequences of one person, and the labeled T1 image."""
    folder = tmp_path_factory.mktemp("patient")
    anatomy = make_anatomy(0, GRID)

    def case(name, sequence, look, shift=0, labels=None):
        array = np.roll(render(anatomy, look, seed=0).array, shift, axis=2)
        return labeled_case(
            folder, labels, case_id=name, patient_id="p", images={sequence: array}, geometry=GRID
        )

    return {
        "PRE": case("p-pre", "t1_pre", "t1_pre", labels=anatomy.labels.array),
        "A": case("p-a", "arterial", "arterial"),
        "V": case("p-v", "venous", "venous", shift=6),
        "OP": case("p-op", "t1_out", "t1_out"),
        "IP": case("p-ip", "t1_in", "t1_in"),
        "other": case("p-x", "fiesta", "t2"),
    }


def run(folder, cases, references, parameters=None):
    given = context(folder)
    inputs = StageInputs(cases={"cases": cases, "references": references})
    found = STAGES["filter-kidney"].run(inputs, parameters or FilterKidneyParameters(), given)
    return found, read_filter_report(given.folder)


def test_labels_pass_to_the_sequences_that_fit(tmp_path, patient):
    reference = patient["PRE"]
    others = tuple(case for name, case in patient.items() if name != "PRE")
    found, report = run(tmp_path, (reference, *others), (reference,))
    labels = {case.case_id: case.label_map for case in found}
    expected = {"p-pre": 1, "p-a": 1, "p-v": 0, "p-op": 1, "p-ip": 1, "p-x": 0}
    assert {name: int(file is not None) for name, file in labels.items()} == expected
    assert {file for file in labels.values() if file} == {reference.label_map}
    assert {c.label_source for c in found if c.label_map} == {"predicted"}
    lines = {line.case_id: line for line in report.cases}
    assert lines["p-op"].reason == "It follows 'p-ip', which was kept."
    assert lines["p-x"].reason == (
        "The kidneys of 'fiesta' are not tested, and it follows no sequence."
    )
    assert [f.organ for f in lines["p-a"].findings] == ["right_kidney", "left_kidney"]
    moved = lines["p-v"].findings[0]
    assert (moved.rule, moved.unit, moved.low) == ("kidney-dice", "Dice", 0.85)
    assert moved.measured < 0.85


def test_the_reference_keeps_its_labels_only_with_a_sequence(tmp_path, patient):
    found, report = run(tmp_path, (patient["V"],), (patient["PRE"],))
    assert [(case.case_id, case.label_map) for case in found] == [("p-pre", None), ("p-v", None)]
    assert report.cases[0].reason == "No sequence of the patient took its labels over."


def test_limits_are_parameters(tmp_path, patient):
    strict = FilterKidneyParameters(one=1.01)
    found, _ = run(tmp_path, (patient["A"], patient["IP"]), (patient["PRE"],), strict)
    assert [case.label_map for case in found] == [None] * 3


def test_patients_without_labels_go_on_as_images(tmp_path, patient):
    bare = replace(patient["PRE"], label_map=None, label_source=None)
    found, report = run(tmp_path, (patient["A"], bare), (bare,))
    assert [(case.case_id, case.label_map) for case in found] == [("p-a", None), ("p-pre", None)]
    assert {line.reason for line in report.cases} == {"The patient has no labeled reference."}


def test_the_truth_of_the_target_is_never_handed_on(tmp_path, patient):
    truth = replace(patient["PRE"], label_source="manual")
    with pytest.raises(DatasetError, match="no training may see"):
        run(tmp_path, (patient["A"],), (truth,))


def test_images_that_were_not_aligned_get_no_labels(tmp_path, patient):
    noise = np.arange(64.0).reshape(4, 4, 4)
    other = labeled_case(tmp_path, None, case_id="dwi", patient_id="p", images={"dwi": noise})
    found, report = run(tmp_path, (other, patient["A"]), (patient["PRE"],))
    assert [case.label_map is not None for case in found] == [True, False, True]
    assert report.cases[1].reason == "It is not on the grid of 'p-pre': it could not be aligned."
