"""Combining label maps: partial annotations, branches of a network, rounds of self-training.

All functions take label arrays (K, J, I), uint8, on one grid, and return new arrays.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import UsageError

Labels = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
Combination = Literal["union", "majority"]


def correct_partial(prediction: Labels, annotation: Labels, annotated: Collection[int]) -> Labels:
    """`prediction` in which the labels of `annotated` are exactly those of `annotation`.

    First every voxel predicted as one of `annotated` becomes background, then the voxels
    annotated so are written, over predictions of other labels too. Values of `annotation`
    outside of `annotated` are ignored. With no annotated label the prediction comes back.

    Raises:
        UsageError: the arrays differ in shape.

    Source: StMt (FLARE23), partial-label correction.
    """
    _check_shapes((prediction, annotation))
    values = list(annotated)
    result = np.where(np.isin(prediction, values), np.uint8(0), prediction)
    return np.where(np.isin(annotation, values), annotation, result)


def union_with_truth(prediction: Labels, truth: Labels, values: Collection[int]) -> Labels:
    """`prediction` with the voxels of `values` in `truth` written over it; nothing is erased.

    For a label such as a tumor of which the annotation may miss a part: what either of the two
    marks is marked in the result.

    Raises:
        UsageError: the arrays differ in shape.

    Source: StMt (FLARE23), real-time correction of tumor labels in the published code.
    """
    _check_shapes((prediction, truth))
    return np.where(np.isin(truth, list(values)), truth, prediction)


def merge_branches(branches: Sequence[Labels]) -> Labels:
    """Label maps of several networks in one; a voxel takes the label of the last that has one.

    The branches stand in order of rising priority: organs, then tumors.

    Raises:
        UsageError: no branch, or the arrays differ in shape.
    """
    _check_shapes(branches)
    merged = branches[0].copy()
    for branch in branches[1:]:
        np.copyto(merged, branch, where=branch > 0)
    return merged


def combine_rounds(rounds: Sequence[Labels], mode: Combination = "union") -> Labels:
    """One label map from those of several training rounds, the latest last.

    A voxel takes the label with most votes, of equal ones that of the latest round. With
    ``"union"`` background has no vote: one round that saw an organ is enough.

    Raises:
        UsageError: no round, the arrays differ in shape, or an unknown mode.

    Source: Zhu et al., FLARE24 task 3, who join the pseudo-labels of the rounds; majority and
        ties are our reading.
    """
    _check_shapes(rounds)
    if mode not in get_args(Combination):
        raise UsageError(
            f"Rounds are combined by {' or '.join(get_args(Combination))}; found '{mode}'.",
            code="usage.combination",
        )
    best_votes = np.zeros(rounds[0].shape, dtype=np.uint16)
    result = np.zeros(rounds[0].shape, dtype=np.uint8)
    for labels in rounds:
        votes = np.zeros(labels.shape, dtype=np.uint16)
        for other in rounds:
            votes += other == labels
        if mode == "union":
            votes[labels == 0] = 0
        later_or_more = votes >= np.maximum(best_votes, 1)
        np.copyto(result, labels, where=later_or_more)
        np.copyto(best_votes, votes, where=later_or_more)
    return result


def remap_values(array: Labels, table: Mapping[int, int], *, others: int | None = None) -> Labels:
    """`array` with the values replaced as `table` says.

    Args:
        array: labels.
        table: new value of each old value.
        others: new value of the values that `table` lacks; None keeps them.

    Raises:
        UsageError: a value outside 0 to 255.
    """
    values = [*table.keys(), *table.values(), *(() if others is None else (others,))]
    if any(not 0 <= value <= 255 for value in values):
        raise UsageError(
            f"Label values are whole numbers from 0 to 255; found {sorted(values)}.",
            code="usage.labels",
        )
    lookup = np.arange(256, dtype=np.uint8)
    if others is not None:
        lookup[:] = others
    for old, new in table.items():
        lookup[old] = new
    mapped: Labels = lookup[array]
    return mapped


def zero_where_invalid(
    labels: Labels,
    image: NDArray[np.floating],
    *,
    valid: BoolArray | None = None,
    floor: float | None = 0.0,
) -> Labels:
    """`labels` without the voxels that the registered image does not show.

    A label that is reused for an image brought to its grid must end where that image ends.

    Args:
        labels: labels of the fixed image.
        image: the moving image on the grid of the fixed one.
        valid: where the moving image reaches (`registration_transform.reach`); None: everywhere.
        floor: intensities up to it count as not seen; None: all count as seen, which images
            with negative values inside the body need.

    Raises:
        UsageError: the arrays differ in shape.

    Source: Li et al., FLARE24 task 3 (intensities up to 0); the mask is ours, because an
        interpolated border or an offset defeats the rule on intensities.
    """
    seen = np.ones(labels.shape, dtype=np.bool_) if valid is None else valid
    _check_shapes((labels, image, seen))
    if floor is not None:
        seen = seen & (image > floor)
    return np.where(seen, labels, np.uint8(0))


def confidence_mask(
    labels: Labels, confidence: NDArray[np.floating], *, minimum: float = 0.85, ignore: int = 255
) -> Labels:
    """`labels` with `ignore` where the largest class probability lies below `minimum`.

    Raises:
        UsageError: the arrays differ in shape.

    Source: Li et al., FLARE24 task 3, published code (0.85, marked 255); not in the paper.
    """
    _check_shapes((labels, confidence))
    return np.where(confidence < minimum, np.uint8(ignore), labels)


def _check_shapes(arrays: Sequence[NDArray[np.generic]]) -> None:
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        raise UsageError(
            f"The label maps must lie on one grid; found shapes {sorted(shapes) or 'none'}.",
            code="usage.label-shapes",
            hint="Resample them to one grid first.",
        )
