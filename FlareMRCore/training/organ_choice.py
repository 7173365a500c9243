"""Which organs a training case shows, where they are, and some of them by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from FlareMRCore.data.labels import organ_table
from FlareMRCore.training.pack import CLASSES

KIDNEYS = organ_table().subset(("right_kidney", "left_kidney")).values
THINNING = 3
"""Every third voxel along each axis is enough to find organs."""


class ShownOrgans(NamedTuple):
    """Voxels of organs in a thinned case: their organs (n,) and their indices (n, 3) in it."""

    organs: NDArray[np.uint8]
    voxels: NDArray[np.float64]

    def of(self, organ: int) -> NDArray[np.float64]:
        """Indices (m, 3) of one organ's voxels."""
        return np.asarray(self.voxels[self.organs == organ])


def shown_organs(labels: NDArray[np.uint8]) -> ShownOrgans:
    """Voxels of organs among every `THINNING`-th voxel of `labels` (K, J, I)."""
    thinned = labels[::THINNING, ::THINNING, ::THINNING]
    is_organ = (thinned > 0) & (thinned < CLASSES)
    voxels = np.argwhere(is_organ).astype(np.float64) * THINNING
    return ShownOrgans(thinned[is_organ], voxels)


def choose_organs(
    found: NDArray[np.uint8], count: int, rng: Generator, *, often: tuple[int, ...], weight: float
) -> list[int]:
    """Up to `count` different organs of `found`, those in `often` drawn `weight` times as often."""
    weights = np.where(np.isin(found, often), weight, 1.0)
    count = min(len(found), count)
    return [int(o) for o in rng.choice(found, count, replace=False, p=weights / weights.sum())]
