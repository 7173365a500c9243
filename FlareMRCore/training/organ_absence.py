"""Organs that end early, are wasted or are not there: fat where an atlas expects a kidney.

After an operation, or with much fat around a small kidney, position alone says little. Seen in T1:
dark kidneys in bright fat, which its fascia bounds, taken for the medulla of a larger kidney.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.contrast import SUBCUTANEOUS_FAT, smooth_noise
from FlareMRCore.training.organ_choice import KIDNEYS, choose_organs
from FlareMRCore.training.pack import CLASSES
from FlareMRCore.training.tissues import AIR, CLUSTER_CENTERS_HU, FAT

MODES, MODE_SHARES = ("whole", "cut", "shell"), (0.2, 0.35, 0.45)
"""What is lost: all of an organ, what lies beyond a cut, or its outer layers."""
SHELL_MM = (4.0, 16.0)
FASCIA_SHARE, FASCIA_HU = 0.6, (-70.0, 20.0)
"""Share of lost shells that leave a thin line where the organ ended, and its Hounsfield units."""
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
    whole = anatomy.labels == organ
    mode = rng.choice(MODES, p=MODE_SHARES)
    gone = whole
    if mode == "cut":
        gone = whole & _beyond_a_cut(whole, spacing_mm, rng)
    elif mode == "shell":
        gone = whole & _shell(whole, spacing_mm, rng)
    filled = gone | (_dilated(gone, 2) & (anatomy.tissues >= AIR))
    fat = FAT_HU + smooth_noise(gone.shape, rng, cells=CUT_CELLS) * TEXTURE_HU
    if mode == "shell" and rng.random() < FASCIA_SHARE:
        fascia = gone & _dilated(~whole, 1)
        fat = torch.where(fascia, float(rng.uniform(*FASCIA_HU)), fat)
    return Anatomy(
        torch.where(gone, SUBCUTANEOUS_FAT, anatomy.labels),
        torch.where(filled, FAT, anatomy.tissues),
        torch.where(filled, fat, anatomy.hounsfield),
    )


def _dilated(mask: Tensor, vox: int) -> Tensor:
    pooled = functional.max_pool3d(mask.float()[None, None], 2 * vox + 1, stride=1, padding=vox)
    return pooled[0, 0] > 0


def _shell(organ: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """Where (K, J, I) an organ lies less deep than a thickness that differs from place to place."""
    depth_mm = torch.from_numpy(ndimage.distance_transform_edt(organ.numpy())) * spacing_mm
    thickness = float(rng.uniform(*SHELL_MM))
    unevenness = smooth_noise(organ.shape, rng, cells=CUT_CELLS) * (0.3 * thickness)
    return depth_mm < thickness + unevenness


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
