"""Filters of pseudo-labels: what goes on labeled, what goes on as an image, and why."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.imaging.anatomy_filter import ADRENALS, AnatomyRule
from FlareMRCore.imaging.pseudo_label_filters import VolumeRatioRule
from FlareMRCore.pipeline.filter_report import read_filter_report
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_filters import (
    FilterAnatomyParameters,
    FilterUncertaintyParameters,
    FilterVolumeRatioParameters,
)
from Testing.core.pipeline.label_cases import ALL, context, labeled_case, row, values_of

TWO = ("liver", "spleen")
IDS = {label.id: label.value for label in organ_table()}


def run(name, folder, parameters, **cases):
    given = context(folder)
    found = STAGES[name].run(StageInputs(cases=cases), parameters, given)
    return found, read_filter_report(given.folder)


def volume_case(folder, name, liver, spleen, **more):
    """A row of `liver` + `spleen` voxels of 8 mm3."""
    values = [0] * 2 + [1] * liver + [3] * spleen + [0] * (40 - liver - spleen)
    return labeled_case(folder, row(*values), case_id=name, annotated=TWO, **more)


def test_organs_far_from_the_mean_volume_lose_their_labels(tmp_path):
    references = [volume_case(tmp_path, f"ct{n}", 9 + 2 * n, 10, domain="source") for n in (0, 1)]
    good = volume_case(tmp_path, "good", 12, 9)
    large = volume_case(tmp_path, "large", 18, 10)
    lost = volume_case(tmp_path, "lost", 10, 0)
    image = labeled_case(tmp_path, None, case_id="image", images={"dwi": row(0)})
    found, report = run(
        "filter-volume-ratio", tmp_path, FilterVolumeRatioParameters(),
        cases=(good, large, lost, image), references=tuple(references),
    )  # fmt: skip
    assert [case.case_id for case in found] == ["good", "large", "lost", "image"]
    assert found[0] == good
    assert [case.label_map for case in found[1:]] == [None] * 3
    assert [case.annotated for case in found[1:]] == [()] * 3
    assert [(case.case_id, case.kept) for case in report.cases] == [
        ("good", True), ("large", False), ("lost", False),
    ]  # fmt: skip
    first = report.cases[1].findings[0]
    assert (first.rule, first.organ, first.kept, first.unit) == (
        "volume-high",
        "liver",
        False,
        "mL",
    )
    assert first.measured == pytest.approx(18 * 8 / 1000)
    assert (first.low, first.high) == pytest.approx((0.2 * 0.08, 1.8 * 0.08))
    assert report.cases[1].reason == "liver: 0.14 mL is not below 0.14 mL."
    assert report.cases[2].reason == "spleen: It is missing."
    assert report.cases[0].findings[0].reason == "0.10 mL lies between 0.02 mL and 0.14 mL."


def test_policies_of_the_volume_filter_are_parameters(tmp_path):
    reference = volume_case(tmp_path, "ct", 10, 10, domain="source")
    lost = volume_case(tmp_path, "lost", 10, 0)
    parameters = FilterVolumeRatioParameters(VolumeRatioRule(missing="ignore"))
    found, report = run(
        "filter-volume-ratio", tmp_path, parameters, cases=(lost,), references=(reference,)
    )
    assert found == (lost,)
    assert [f.rule for f in report.cases[0].findings] == ["volume", "untested"]


def test_the_truth_of_the_target_is_no_reference(tmp_path):
    case = volume_case(tmp_path, "a", 10, 10)
    truth = volume_case(tmp_path, "b", 10, 10, source="manual")
    with pytest.raises(DatasetError, match="no training may see"):
        run(
            "filter-volume-ratio", tmp_path, FilterVolumeRatioParameters(), cases=(case,),
            references=(truth,),
        )  # fmt: skip


def test_references_need_labels(tmp_path):
    case = volume_case(tmp_path, "a", 10, 10)
    image = labeled_case(tmp_path, None, images={"ct": row(0)}, domain="source")
    with pytest.raises(UsageError, match="at least one labeled case"):
        run(
            "filter-volume-ratio", tmp_path, FilterVolumeRatioParameters(), cases=(case,),
            references=(image,),
        )  # fmt: skip


def test_cases_that_change_from_round_to_round_lose_their_labels(tmp_path):
    steady = [labeled_case(tmp_path, row(1, 1, 0, 3), case_id="steady") for _ in range(2)]
    restless = [
        labeled_case(tmp_path, labels, case_id="restless")
        for labels in (row(1, 1, 0, 0), row(0, 1, 3, 0))
    ]
    empty = [
        labeled_case(tmp_path, labels, case_id="empty")
        for labels in (row(1, 1, 0, 0), row(0, 0, 0, 0))
    ]
    found, report = run(
        "filter-uncertainty", tmp_path, FilterUncertaintyParameters(drop_share=0.34),
        rounds=(steady[0], restless[0], empty[0], steady[1], restless[1], empty[1]),
    )  # fmt: skip
    assert [case.label_map is not None for case in found] == [True, True, False]
    assert [line.findings[0].measured for line in report.cases] == [0.0, 1.0, None]
    assert {line.findings[0].high for line in report.cases} == {1.0}
    assert report.cases[2].reason == "A later round found nothing."
    (tmp_path / "limited").mkdir()
    parameters = FilterUncertaintyParameters(drop_share=0.0, limit=0.5, labels="union")
    found, report = run(
        "filter-uncertainty", tmp_path / "limited", parameters, rounds=(*steady, *restless)
    )
    assert [case.label_map is not None for case in found] == [True, False]
    assert values_of(found[0]) == [1, 1, 0, 3]
    assert report.cases[1].findings[0].unit == "share"


def test_survivors_take_the_labels_of_all_rounds(tmp_path):
    rounds = [labeled_case(tmp_path, labels) for labels in (row(1, 1, 0), row(1, 3, 3))]
    parameters = FilterUncertaintyParameters(drop_share=0.0, labels="union")
    found, _ = run("filter-uncertainty", tmp_path, parameters, rounds=tuple(rounds))
    assert values_of(found[0]) == [1, 3, 3]


def test_one_round_has_no_uncertainty(tmp_path):
    image = labeled_case(tmp_path, None, images={"t1": row(0)})
    with pytest.raises(DatasetError, match="'c' is labeled in 1 of 2 rounds"):
        run(
            "filter-uncertainty", tmp_path, FilterUncertaintyParameters(),
            rounds=(image, labeled_case(tmp_path, row(1))),
        )  # fmt: skip


GRID = Geometry((10, 60, 60), (3.0, 1.2, 1.2))
PARAMETERS = FilterAnatomyParameters(AnatomyRule(closing_mm=None))


def abdomen() -> np.ndarray:
    """Thirteen cubes of 8 x 8 x 8 voxels, which the filter accepts."""
    array = np.zeros(GRID.shape, dtype=np.uint8)
    places = [(j, i) for j in (2, 20, 38) for i in (2, 14, 26, 38, 50)]
    order = [name for name in IDS if name not in ("esophagus", "stomach", "duodenum")]
    for (j, i), name in zip(places, order, strict=False):
        array[1:9, j : j + (16 if name in ADRENALS else 8), i : i + 8] = IDS[name]
    for n, name in enumerate(("esophagus", "stomach", "duodenum")):
        array[1:9, 50:58, 10 + 8 * n : 18 + 8 * n] = IDS[name]
    return array


def anatomy_case(folder, name, array, sequence, patient="p", **more):
    images = {sequence: np.zeros(GRID.shape)}
    return labeled_case(
        folder, array, case_id=name, patient_id=patient, images=images, geometry=GRID, **more
    )


def test_what_is_no_abdomen_loses_its_labels(tmp_path):
    broken = abdomen()
    broken[broken == IDS["gallbladder"]] = 0
    broken[1:9, 46:56, 59] = IDS["spleen"]
    cases = (
        anatomy_case(tmp_path, "good", abdomen(), "A"),
        anatomy_case(tmp_path, "broken", broken, "V"),
    )
    found, report = run("filter-anatomy", tmp_path, PARAMETERS, cases=cases)
    assert found[0] == cases[0]
    assert found[1].label_map is None
    assert found[1].images == cases[1].images
    assert report.failures() == {"missing/gallbladder": 1, "scattered/spleen": 1}
    assert report.cases[1].reason == (
        "spleen: A second piece of 0.35 mL is not below 0.28 mL. gallbladder: It is missing."
    )
    assert all(f.measured == pytest.approx(2.21184) for f in report.cases[0].findings if f.low)


def test_partial_labels_are_tested_for_what_they_have(tmp_path):
    array = np.where(np.isin(abdomen(), (1, 3)), abdomen(), 0)
    case = anatomy_case(tmp_path, "two", array, "A", annotated=TWO)
    found, report = run("filter-anatomy", tmp_path, PARAMETERS, cases=(case,))
    assert found == (case,)
    assert [finding.organ for finding in report.cases[0].findings] == list(TWO)


def test_the_organs_to_be_tested_are_a_choice(tmp_path):
    array = np.where(np.isin(abdomen(), (1, 3)), abdomen(), 0)
    case = anatomy_case(tmp_path, "two", array, "A")
    parameters = FilterAnatomyParameters(AnatomyRule(closing_mm=None), organs=TWO)
    found, _ = run("filter-anatomy", tmp_path, parameters, cases=(case,))
    assert found == (case,)


def test_the_opposed_phase_shares_the_fate_of_the_in_phase(tmp_path):
    good, bad = abdomen(), np.where(abdomen() == 1, 0, abdomen())
    cases = (
        anatomy_case(tmp_path, "p-op", bad, "Out Phase"),
        anatomy_case(tmp_path, "p-ip", good, "In Phase"),
        anatomy_case(tmp_path, "q-ip", bad, "InPhase", "q"),
        anatomy_case(tmp_path, "q-op", good, "OutPhase", "q"),
        anatomy_case(tmp_path, "r-op", good, "OP", "r"),
    )
    found, report = run("filter-anatomy", tmp_path, PARAMETERS, cases=cases)
    kept = {case.case_id: case.label_map is not None for case in found}
    assert kept == {"p-op": True, "p-ip": True, "q-ip": False, "q-op": False, "r-op": True}
    assert values_of(found[0]) == values_of(cases[1])
    assert report.cases[0].reason == "It takes the labels of 'p-ip', which were kept."
    assert report.cases[3].reason == "It takes the labels of 'q-ip', which were rejected."
    assert set(ALL) == set(found[0].annotated)
