"""Organs that end early or are not there: fat where an atlas would expect a kidney.

After an operation, or with much fat around a small kidney, position alone says nothing; a network
that was taught whole anatomies only takes the fat for the organ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.contrast import SUBCUTANEOUS_FAT, smooth_noise
from FlareMRCore.training.organ_choice import KIDNEYS, choose_organs
from FlareMRCore.training.pack import CLASSES
from FlareMRCore.training.tissues import AIR, CLUSTER_CENTERS_HU, FAT

WHOLE_SHARE = 0.25
"""Share of the chosen organs that go as a whole; the others lose what lies beyond a cut."""
KEPT = (0.2, 0.85)
"""Range of the share of a cut organ that stays."""
CUT_NOISE_MM, CUT_CELLS = 4.0, 8
"""Standard deviation of the unevenness of a cut, and cells of its noise."""
FAT_HU, TEXTURE_HU = CLUSTER_CENTERS_HU[FAT - AIR], 6.0
KIDNEY_WEIGHT = 4.0
"""Kidneys, which lie in more fat than any other organ, are chosen so much more often."""


class Anatomy(NamedTuple):
    """Labels, tissues (int64) and Hounsfield units (float32) of a sample, each (K, J, I)."""

    labels: Tensor
    tissues: Tensor
    hounsfield: Tensor


def with_fat_for_organ(anatomy: Anatomy, spacing_mm: float, rng: Generator) -> Anatomy:
    """The sample with fat in place of one of its organs, or of a part of it.

    Unlabeled voxels up to two from it go too: some of the organ is in them, or they lie inside it.
    Returns the sample as it is where it shows no organ.

    Args:
        anatomy: of a CT or a label map; an MR cannot be filled without knowing its contrast.
        spacing_mm: isotropic spacing.
        rng: source of all randomness.
    """
    found = torch.unique(anatomy.labels)
    found = found[(found > 0) & (found < CLASSES)].numpy()
    if not len(found):
        return anatomy
    (organ,) = choose_organs(found, 1, rng, often=KIDNEYS, weight=KIDNEY_WEIGHT)
    gone = anatomy.labels == organ
    if rng.random() >= WHOLE_SHARE:
        gone &= _beyond_a_cut(gone, spacing_mm, rng)
    rim = functional.max_pool3d(gone.float()[None, None], 5, stride=1, padding=2)[0, 0] > 0
    filled = gone | (rim & (anatomy.tissues >= AIR))
    texture = smooth_noise(gone.shape, rng, cells=CUT_CELLS) * TEXTURE_HU
    return Anatomy(
        torch.where(gone, SUBCUTANEOUS_FAT, anatomy.labels),
        torch.where(filled, FAT, anatomy.tissues),
        torch.where(filled, FAT_HU + texture, anatomy.hounsfield),
    )


def _beyond_a_cut(organ: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """Where (K, J, I) a random, uneven plane through the organ leaves nothing of it."""
    indices = torch.stack(torch.meshgrid(*map(torch.arange, organ.shape), indexing="ij"), dim=-1)
    unevenness = smooth_noise(organ.shape, rng, cells=CUT_CELLS) * CUT_NOISE_MM
    height = indices.float() @ _direction(rng) * spacing_mm + unevenness
    return height > torch.quantile(height[organ], float(rng.uniform(*KEPT)))


def _direction(rng: Generator) -> Tensor:
    """A unit vector (3,) along (K, J, I), more often near the body's axis than across it."""
    vector = rng.normal(0, 1, 3) * (2.0, 1.0, 1.0)
    return torch.from_numpy((vector / np.linalg.norm(vector)).astype(np.float32))
