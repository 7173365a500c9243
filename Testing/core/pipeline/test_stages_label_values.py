"""Label maps that are masked, renumbered or partly hidden."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_label_values import (
    ConfidenceMaskParameters,
    HideLabelsParameters,
    RemapLabelsParameters,
    ShownLabels,
    ZeroOutsideParameters,
)
from Testing.core.pipeline.label_cases import ALL, context, labeled_case, row, values_of


def run(name, folder, parameters, *cases):
    given = StageInputs(cases={"cases": cases})
    found = STAGES[name].run(given, parameters, context(folder))
    return found[0] if len(cases) == 1 else found


def test_labels_end_where_the_image_ends(tmp_path):
    images = {"t2": row(5, 0, -1, 9), "reach": row(1, 1, 1, 0), "everywhere": row(1, 1, 1, 1)}
    case = labeled_case(tmp_path, row(1, 1, 2, 3), images=images)
    for number, (parameters, expected) in enumerate(
        [
            (ZeroOutsideParameters(), [1, 0, 0, 3]),
            (ZeroOutsideParameters(floor=-2.0), [1, 1, 2, 3]),
            (ZeroOutsideParameters(use_floor=False, reach="reach"), [1, 1, 2, 0]),
            (ZeroOutsideParameters(reach="reach"), [1, 0, 0, 0]),
            (ZeroOutsideParameters(use_floor=False, reach="everywhere"), [1, 1, 2, 3]),
        ]
    ):
        (tmp_path / f"run{number}").mkdir()
        found = run("zero-outside", tmp_path / f"run{number}", parameters, case)
        assert values_of(found) == expected
        assert found.label_source == "predicted"
    (tmp_path / "last").mkdir()
    with pytest.raises(DatasetError, match=r"no image 'mask'\. It has: t2, reach, everywhere"):
        run("zero-outside", tmp_path / "last", ZeroOutsideParameters(reach="mask"), case)


def test_values_get_new_meanings(tmp_path):
    case = labeled_case(tmp_path, row(0, 1, 2, 3), annotated=("liver", "spleen"))
    parameters = RemapLabelsParameters(values=((1, 14),))
    found = run("remap-labels", tmp_path, parameters, case)
    assert values_of(found) == [0, 14, 2, 3]
    assert found.annotated == ("spleen", "tumor")


def test_everything_else_can_become_one_value(tmp_path):
    case = labeled_case(tmp_path, row(0, 1, 14, 3), annotated=(*ALL, "tumor"))
    parameters = RemapLabelsParameters(values=((0, 0), (14, 1)), others=0, annotated=("liver",))
    found = run("remap-labels", tmp_path, parameters, case)
    assert values_of(found) == [0, 0, 1, 0]
    assert found.annotated == ("liver",)


def test_foreign_conventions_are_read_first(tmp_path):
    case = labeled_case(tmp_path, row(6, 1, 0))
    found = run("remap-labels", tmp_path, RemapLabelsParameters(convention="amos22"), case)
    assert values_of(found) == [1, 3, 0]


def test_doubtful_voxels_teach_nothing(tmp_path):
    images = {"t2": row(1, 1, 1), "confidence": row(0.9, 0.5, 0.86)}
    case = labeled_case(tmp_path, row(1, 2, 0), images=images)
    found = run("confidence-mask", tmp_path, ConfidenceMaskParameters(), case)
    assert values_of(found) == [1, 255, 0]
    assert tuple(found.images) == ("t2",)
    bare = replace(case, images={"t2": case.images["t2"]})
    (tmp_path / "bare").mkdir()
    with pytest.raises(DatasetError, match="no image 'confidence'"):
        run("confidence-mask", tmp_path / "bare", ConfidenceMaskParameters(), bare)


@pytest.mark.parametrize("name", ["zero-outside", "remap-labels", "confidence-mask"])
def test_unlabeled_cases_pass(tmp_path, name):
    case = labeled_case(tmp_path, None, images={"t2": row(1, 0)})
    parameters = STAGES[name].parameters()
    assert run(name, tmp_path, parameters, case) == case


GROUPS = (
    ShownLabels("all", 1, ALL),
    ShownLabels("five", 2, ("liver", "spleen")),
    ShownLabels("tumor", 2, ("tumor",)),
    ShownLabels("none", 5),
)


def test_a_cohort_becomes_partially_labeled(tmp_path):
    cases = [
        labeled_case(
            tmp_path, row(1, 2, 3, 14), case_id=f"c{n}", source="phantom", domain="source",
            annotated=(*ALL, "tumor"),
        )
        for n in range(10)
    ]  # fmt: skip
    found = run("hide-labels", tmp_path, HideLabelsParameters(GROUPS), *cases)
    assert [case.case_id for case in found] == [case.case_id for case in cases]
    parts = Counter(case.parts[-1] for case in found)
    assert parts == {"partial/all": 1, "partial/five": 2, "partial/tumor": 2, "partial/none": 5}
    expected = {
        "partial/all": [1, 2, 3, 0],
        "partial/five": [1, 0, 3, 0],
        "partial/tumor": [0, 0, 0, 14],
    }
    for case in found:
        if case.parts[-1] == "partial/none":
            assert (case.label_map, case.label_source, case.annotated) == (None, None, ())
        else:
            assert values_of(case) == expected[case.parts[-1]]
            assert case.label_source == "phantom"
    assert {case.annotated for case in found if case.parts[-1] == "partial/five"} == {
        ("liver", "spleen")
    }


def test_the_drawing_depends_on_the_seed_only(tmp_path):
    cases = [labeled_case(tmp_path, row(1, 2), case_id=f"c{n}") for n in range(7)]
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        (tmp_path / f"run{number}").mkdir()
        parameters = HideLabelsParameters(GROUPS[:2], seed=seed)
        drawn.append(
            [c.parts for c in run("hide-labels", tmp_path / f"run{number}", parameters, *cases)]
        )
    assert drawn[0] == drawn[1] != drawn[2]
    assert [sorted(d) for d in drawn[1:]] == [sorted(drawn[0])] * 2


@pytest.mark.parametrize("groups", [(), (ShownLabels("a", -1.0),), (ShownLabels("a", 0.0),)])
def test_shares_make_sense(groups):
    with pytest.raises(UsageError):
        HideLabelsParameters(groups)
