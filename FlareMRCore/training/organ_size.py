"""Organs that are larger or smaller than their neighbors tell: shrunken kidneys, big spleens.

Scaling a whole sample keeps the sizes of organs relative to each other, and elastic displacements
hardly change them; a network then takes the fat around a shrunken kidney for a part of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from FlareMRCore.data.labels import organ_table
from FlareMRCore.training.organ_choice import KIDNEYS, THINNING, choose_organs, shown_organs
from FlareMRCore.training.pack import PackedCase

SIZE = (0.6, 1.35)
"""Range of the scaling at an organ's center, drawn on a logarithmic scale; its rim follows less."""
ORGANS = (1, 3)
"""Fewest and most organs that change at once."""
LARGE = (*organ_table().subset(("liver", "spleen")).values, *KIDNEYS)
LARGE_WEIGHT = 3.0
"""Liver, kidneys and spleen, whose size differs most, are drawn `LARGE_WEIGHT` times as often."""
REACH = 1.2
"""Standard deviation of the change around an organ's center, relative to its radius."""


def resized_organs(points: Tensor, case: PackedCase, center_vox: Tensor, rng: Generator) -> Tensor:
    """Where to read the case so that some of its organs appear grown or shrunk.

    Args:
        points: positions (K, J, I, 3) in mm relative to `center_vox`.
        case: its organs' centers and volumes decide where and how far the change reaches.
        center_vox: index (3,) of the sample's center in the case.
        rng: source of all randomness.

    Returns:
        The positions moved away from each chosen organ's center (it shrinks) or towards it (it
        grows); unchanged where the case shows no organ. The map never folds: with a change a at
        the center, its slope stays above 1 - 0.45 a, and a is below 0.67.

    Source: the idea of anatomy-informed data augmentation, Kovacs et al., MICCAI 2023; the radial
    displacement is ours.
    """
    shown = shown_organs(case.labels)
    if not len(shown.organs):
        return points
    count = int(rng.integers(ORGANS[0], ORGANS[1] + 1))
    found = np.unique(shown.organs)
    for organ in choose_organs(found, count, rng, often=LARGE, weight=LARGE_WEIGHT):
        voxels = shown.of(organ)
        radius_mm = THINNING * case.spacing_mm * float(np.cbrt(len(voxels) * 3 / (4 * np.pi)))
        middle = torch.from_numpy(voxels.mean(0).astype(np.float32))
        middle_mm = (middle - center_vox) * case.spacing_mm
        factor = float(np.exp(rng.uniform(*np.log(SIZE))))
        offset = points - middle_mm
        near = torch.exp(-offset.square().sum(-1, keepdim=True) / (2 * (REACH * radius_mm) ** 2))
        points = middle_mm + offset * (1 + (1 / factor - 1) * near)
    return points
