"""Label operations on rows of a few voxels, solved by hand."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.label_operations import (
    combine_rounds,
    confidence_mask,
    correct_partial,
    merge_branches,
    remap_values,
    union_with_truth,
    zero_where_invalid,
)

TUMOR = 14


def row(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8).reshape(1, 1, -1)


def test_partial_correction_erases_then_writes():
    prediction = row(1, 1, 2, 3, 0, 5)
    annotation = row(0, 1, 1, 0, 1, 0)
    corrected = correct_partial(prediction, annotation, {1})
    assert corrected.tolist() == row(0, 1, 1, 3, 1, 5).tolist()
    assert prediction.tolist() == row(1, 1, 2, 3, 0, 5).tolist()


@pytest.mark.parametrize(
    ("annotated", "expected"),
    [((), (1, 2, 3, 0)), (range(1, 14), (2, 2, 0, 1)), ((2,), (2, 2, 3, 0)), ((3,), (1, 2, 0, 0))],
)
def test_partial_correction_by_what_is_annotated(annotated, expected):
    result = correct_partial(row(1, 2, 3, 0), row(2, 2, 0, 1), annotated)
    assert result.tolist() == row(*expected).tolist()
    assert result.dtype == np.uint8


def test_partial_correction_leaves_predicted_organs_outside_a_tumor():
    assert correct_partial(row(1, 1, 4), row(0, TUMOR, 0), {TUMOR}).tolist() == (
        row(1, TUMOR, 4).tolist()
    )


def test_union_with_truth_erases_nothing():
    result = union_with_truth(row(TUMOR, 0, 1, 0), row(0, TUMOR, 0, 1), {TUMOR})
    assert result.tolist() == row(TUMOR, TUMOR, 1, 0).tolist()


def test_the_last_branch_wins():
    organs, tumor, vessel = row(1, 1, 2, 0), row(0, TUMOR, TUMOR, 0), row(0, 0, 5, 0)
    assert merge_branches([organs, tumor, vessel]).tolist() == row(1, TUMOR, 5, 0).tolist()
    assert merge_branches([tumor, organs]).tolist() == row(1, 1, 2, 0).tolist()
    assert organs.tolist() == row(1, 1, 2, 0).tolist()


@pytest.mark.parametrize(
    ("votes", "union", "majority"),
    [
        ((0, 0, 0), 0, 0),
        ((1, 0, 0), 1, 0),
        ((1, 1, 2), 1, 1),
        ((1, 2, 3), 3, 3),
        ((1, 2, 0), 2, 0),
        ((2, 1, 2), 2, 2),
        ((0, 1, 1), 1, 1),
        ((1, 2), 2, 2),
        ((2, 0), 2, 0),
    ],
)
def test_rounds_vote(votes, union, majority):
    rounds = [row(vote) for vote in votes]
    assert combine_rounds(rounds).item() == union
    assert combine_rounds(rounds, "majority").item() == majority


def test_values_are_remapped_at_once():
    assert remap_values(row(0, 1, 2, 9), {1: 2, 2: 1}).tolist() == row(0, 2, 1, 9).tolist()
    assert remap_values(row(0, 1, 2, 9), {14: 1, 9: 3}, others=0).tolist() == (
        row(0, 0, 0, 3).tolist()
    )
    with pytest.raises(UsageError, match="0 to 255"):
        remap_values(row(1), {1: 300})


def test_labels_end_where_the_image_ends():
    labels, image = row(1, 1, 1, 1), np.array([[[5.0, 0.0, -3.0, 2.0]]])
    valid = np.array([[[True, True, True, False]]])
    both = zero_where_invalid(labels, image, valid=valid)
    assert both.tolist() == row(1, 0, 0, 0).tolist()
    assert zero_where_invalid(labels, image).tolist() == row(1, 0, 0, 1).tolist()
    mask_alone = zero_where_invalid(labels, image, valid=valid, floor=None)
    assert mask_alone.tolist() == row(1, 1, 1, 0).tolist()


def test_uncertain_voxels_are_marked():
    confidence = np.array([[[0.9, 0.85, 0.8499, 0.2]]])
    assert confidence_mask(row(1, 2, 3, 0), confidence).tolist() == row(1, 2, 255, 255).tolist()


def test_grids_must_agree():
    with pytest.raises(UsageError, match="one grid"):
        correct_partial(row(1, 2), row(1), {1})
    with pytest.raises(UsageError, match="found shapes none"):
        merge_branches([])
    with pytest.raises(UsageError, match="union or majority"):
        combine_rounds([row(1)], "mean")  # type: ignore[arg-type]
