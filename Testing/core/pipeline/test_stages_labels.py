"""Label maps made of several: partial correction, union, branches, rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.errors import Cancelled, DatasetError, GeometryError
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_labels import (
    CorrectPartialParameters,
    FuseRoundsParameters,
    MergeBranchesParameters,
    UnionWithTruthParameters,
)
from Testing.core.pipeline.label_cases import ALL, GRID, context, labeled_case, row, values_of


def run(name, folder, parameters, **cases):
    return STAGES[name].run(StageInputs(cases=cases), parameters, context(folder))


def corrected(folder, case, reference):
    found = run(
        "correct-partial", folder, CorrectPartialParameters(), cases=(case,),
        references=(reference,),
    )  # fmt: skip
    return found[0]


def test_annotated_structures_are_erased_then_written(tmp_path):
    case = labeled_case(tmp_path, row(1, 1, 3, 3, 0, 2))
    truth = labeled_case(
        tmp_path, row(0, 1, 1, 0, 14, 0), source="manual", domain="source",
        annotated=("liver", "tumor"),
    )  # fmt: skip
    found = corrected(tmp_path, case, truth)
    assert values_of(found) == [0, 1, 1, 3, 14, 2]
    assert found.label_source == "corrected"
    assert found.annotated == (*ALL, "tumor")
    assert found.images == case.images


def test_nothing_annotated_changes_nothing_and_everything_annotated_is_the_truth(tmp_path):
    case = labeled_case(tmp_path, row(1, 1, 3, 3, 0, 2))
    truth = labeled_case(tmp_path, row(0, 5, 5, 0, 0, 0), source="manual", domain="source")
    nothing = replace(truth, annotated=())
    assert values_of(corrected(tmp_path, case, nothing)) == [1, 1, 3, 3, 0, 2]
    (tmp_path / "second").mkdir()
    assert values_of(corrected(tmp_path / "second", case, truth)) == [0, 5, 5, 0, 0, 0]


def test_cases_without_reference_stay(tmp_path):
    case = labeled_case(tmp_path, row(1, 0, 0))
    others = (
        labeled_case(tmp_path, row(2, 2, 2), case_id="other", domain="source"),
        labeled_case(tmp_path, None, images={"t1": row(0, 0, 0)}),
    )
    parameters = CorrectPartialParameters()
    assert run(
        "correct-partial", tmp_path, parameters, cases=(case,), references=others
    ) == (case,)  # fmt: skip


def test_the_truth_of_the_target_corrects_nothing(tmp_path):
    case = labeled_case(tmp_path, row(1, 0, 0))
    truth = labeled_case(tmp_path, row(0, 1, 0), source="manual", domain="target")
    with pytest.raises(DatasetError, match="no training may see"):
        corrected(tmp_path, case, truth)


def test_labels_on_another_grid_are_refused(tmp_path):
    case = labeled_case(tmp_path, row(1, 0, 0))
    moved = Geometry((1, 1, 3), GRID.spacing_mm, (0.0, 0.0, 4.0))
    truth = labeled_case(tmp_path, row(0, 1, 0), geometry=moved, domain="source")
    with pytest.raises(GeometryError, match="do not coincide"):
        corrected(tmp_path, case, truth)


def test_union_erases_nothing(tmp_path):
    case = labeled_case(tmp_path, row(1, 14, 3, 3, 0, 2))
    truth = labeled_case(
        tmp_path, row(14, 0, 5, 0, 0, 14), source="manual", domain="source",
        annotated=("aorta", "tumor"),
    )  # fmt: skip
    (found,) = run(
        "union-with-truth", tmp_path, UnionWithTruthParameters(), cases=(case,),
        references=(truth,),
    )  # fmt: skip
    assert values_of(found) == [14, 14, 3, 3, 0, 14]
    assert found.annotated == (*ALL, "tumor")


def test_union_takes_only_what_was_looked_for(tmp_path):
    case = labeled_case(tmp_path, row(1, 0))
    truth = labeled_case(tmp_path, row(14, 14), domain="source", annotated=("liver",))
    (found,) = run(
        "union-with-truth", tmp_path, UnionWithTruthParameters(), cases=(case,),
        references=(truth,),
    )  # fmt: skip
    assert values_of(found) == [1, 0]
    assert "tumor" not in found.annotated


def test_tumors_lie_on_organs(tmp_path):
    organs = labeled_case(tmp_path, row(1, 1, 2, 0))
    tumor = labeled_case(tmp_path, row(0, 14, 0, 14), annotated=("tumor",))
    (found,) = run(
        "merge-branches", tmp_path, MergeBranchesParameters(), branches=(organs, tumor)
    )  # fmt: skip
    assert values_of(found) == [1, 14, 2, 14]
    assert found.annotated == (*ALL, "tumor")


def test_a_case_that_one_branch_lacks_is_named(tmp_path):
    branches = [labeled_case(tmp_path, row(1, 0), case_id=name) for name in ("a", "b", "a")]
    with pytest.raises(DatasetError, match="fewer than 2 label maps to merge: b"):
        run("merge-branches", tmp_path, MergeBranchesParameters(), branches=tuple(branches))


@pytest.mark.parametrize(
    ("mode", "expected"), [("union", [1, 2, 2, 3, 0]), ("majority", [1, 2, 2, 0, 0])]
)
def test_rounds_vote(tmp_path, mode, expected):
    maps = (row(1, 2, 1, 0, 0), row(1, 2, 2, 0, 0), row(1, 0, 2, 3, 0))
    rounds = tuple(labeled_case(tmp_path, labels) for labels in maps)
    (found,) = run("fuse-rounds", tmp_path, FuseRoundsParameters(mode), rounds=rounds)
    assert values_of(found) == expected
    assert found.label_source == "predicted"


def test_rounds_without_labels_do_not_vote(tmp_path):
    unlabeled = labeled_case(tmp_path, None, images={"t1": row(0, 0)})
    other = replace(unlabeled, case_id="d", patient_id="d")
    seen = labeled_case(tmp_path, row(1, 0), annotated=("liver", "spleen"))
    later = labeled_case(tmp_path, row(1, 1), annotated=("liver",))
    found = run(
        "fuse-rounds", tmp_path, FuseRoundsParameters(),
        rounds=(seen, other, later, unlabeled, other),
    )  # fmt: skip
    assert [case.case_id for case in found] == ["c", "d"]
    assert values_of(found[0]) == [1, 1]
    assert found[0].annotated == ("liver",)
    assert found[1].label_map is None


def test_each_case_is_a_chance_to_stop(tmp_path):
    class Stopped:
        def advance(self, stage, done, total):
            if done:
                raise Cancelled

        def message(self, text, *, level="info"):
            raise AssertionError

    cases = tuple(labeled_case(tmp_path, row(1, 0), case_id=name) for name in ("a", "b"))
    stopped = replace(context(tmp_path), reporter=Stopped())
    with pytest.raises(Cancelled):
        STAGES["fuse-rounds"].run(
            StageInputs(cases={"rounds": cases}), FuseRoundsParameters(), stopped
        )
    assert np.all([path.name == "a" for path in stopped.folder.iterdir()])
