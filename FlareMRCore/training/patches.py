"""Patches of cases, some of them around a voxel of a class that is drawn first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from FlareMRCore.errors import DatasetError
from FlareMRCore.training.learning_parameters import IGNORE

VOXELS_PER_CLASS = 5000
"""Voxels of a class that are remembered as places for patches."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCase:
    """A case in memory, preprocessed.

    Attributes:
        case_id: name.
        image: float32 (K, J, I), or (J, I) for slices.
        labels: uint8 (branches, K, J, I), 255 is ignored; None for an unlabeled case.
        known: bool (classes,), the classes that are annotated; None: all.
        places: voxels by class, see `class_places`.
        fill: what lies outside of the image; None for its minimum.
    """

    case_id: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8] | None = None
    known: NDArray[np.bool_] | None = None
    places: Mapping[int, NDArray[np.int32]] = field(default_factory=dict)
    fill: float | None = None


def training_case(
    case_id: str,
    image: NDArray[np.float32],
    labels: NDArray[np.uint8] | None = None,
    *,
    known: NDArray[np.bool_] | None = None,
) -> TrainingCase:
    """A case; `labels` of one branch may come without the axis of branches.

    Raises:
        DatasetError: image and labels differ in shape.
    """
    if labels is None:
        return TrainingCase(case_id, image)
    if labels.ndim == image.ndim:
        labels = labels[None]
    if labels.shape[1:] != image.shape:
        raise DatasetError(
            f"Image {image.shape} and labels {labels.shape[1:]} of case {case_id} differ in shape.",
            code="dataset.grid",
        )
    return TrainingCase(case_id, image, labels, known, class_places(labels))


def class_places(labels: NDArray[np.uint8]) -> dict[int, NDArray[np.int32]]:
    """Indices (n, axes) of evenly chosen voxels of each class of the first branch that has any."""
    found: dict[int, NDArray[np.int32]] = {}
    for branch in labels:
        for value in np.unique(branch):
            if value in (0, IGNORE) or int(value) in found:
                continue
            flat = np.flatnonzero(branch == value)
            chosen = flat[:: max(1, len(flat) // VOXELS_PER_CLASS)]
            places = np.stack(np.unravel_index(chosen, branch.shape), axis=1)
            found[int(value)] = places.astype(np.int32)
    return found


def wants_foreground(number: int, count: int, share: float, rng: Generator) -> bool:
    """Whether item `number` of the `count` of its pool is a patch around a class.

    As many items as the share makes in whole are for certain, its fraction is drawn.

    >>> [wants_foreground(n, 2, 0.5, np.random.default_rng(0)) for n in (0, 1)]
    [True, False]
    """
    wanted = share * count
    return number < int(wanted) or (number == int(wanted) and rng.random() < wanted - int(wanted))


def patch_start(
    case: TrainingCase, patch: Sequence[int], rng: Generator, *, foreground: bool
) -> tuple[int, ...]:
    """First voxel of a random patch; negative along axes shorter than the patch.

    Args:
        case: where to look.
        patch: shape.
        rng: source of all randomness.
        foreground: center it on a voxel of a class, each class of the case equally likely, as
            far as the border allows; a case without classes gives any patch.
    """
    shape = case.image.shape
    if foreground and case.places:
        places = case.places[sorted(case.places)[int(rng.integers(len(case.places)))]]
        center = places[int(rng.integers(len(places)))]
        wanted = [int(c) - n // 2 for c, n in zip(center, patch, strict=True)]
    else:
        wanted = [int(rng.integers(max(1, n - m + 1))) for n, m in zip(shape, patch, strict=True)]
    return tuple(
        min(max(0, start), n - m) if n >= m else (n - m) // 2
        for start, n, m in zip(wanted, shape, patch, strict=True)
    )


def take_patch(
    array: NDArray[Any], start: Sequence[int], patch: Sequence[int], *, fill: float
) -> NDArray[Any]:
    """Patch of the last axes; what lies outside of the array is `fill`."""
    axes = len(patch)
    shape = array.shape[-axes:]
    lead = array.shape[: array.ndim - axes]
    result = np.full((*lead, *patch), fill, dtype=array.dtype)
    source: list[Any] = [...]
    target: list[Any] = [...]
    for first, length, n in zip(start, patch, shape, strict=True):
        low, high = max(0, first), min(n, first + length)
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    result[tuple(target)] = array[tuple(source)]
    return result
