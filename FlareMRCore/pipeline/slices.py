"""Which slice of each direction shows the organs best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Shape

SAMPLE_VOX = 4_000_000
"""Voxels looked at; larger label maps are sampled along the two axes within the slice."""


def best_slices(labels: NDArray[np.uint8]) -> Shape:
    """Index along each axis of the slice that shows most organs, each near its largest section.

    The middle slices if there are no labels.
    """
    k, j, i = (best_slice(labels, axis) for axis in range(3))
    return k, j, i


def best_slice(labels: NDArray[np.uint8], axis: int) -> int:
    """Index along `axis` with the largest sum of square roots of relative section areas.

    The root makes a second organ count more than a larger section of the first.
    """
    areas = _areas(labels, axis)
    largest = areas.max(axis=0)
    if not largest.any():
        return int(labels.shape[axis]) // 2
    present = largest > 0
    score = np.sqrt(areas[:, present] / largest[present]).sum(axis=1)
    best = np.flatnonzero(score >= score.max() * (1 - 1e-9))
    return int(best[len(best) // 2])


def _areas(labels: NDArray[np.uint8], axis: int) -> NDArray[np.float64]:
    """Voxels of each label in each slice, shape (slices, 255); background left out."""
    step = max(1, int(np.sqrt(labels.size / SAMPLE_VOX)))
    slices = np.moveaxis(labels, axis, 0)[:, ::step, ::step]
    counts = [np.bincount(part.ravel(), minlength=256)[1:] for part in slices]
    return np.array(counts, dtype=np.float64)
