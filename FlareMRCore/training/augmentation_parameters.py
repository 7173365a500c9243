"""How images are varied in training: values only, and the lists of the five papers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from FlareMRCore.errors import UsageError

Chance = tuple[float, float, float]
"""Probability of a change, and the range its strength is drawn from."""
NEVER: Chance = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class AugmentationParameters:
    """Probability and range of every change, in the order they are applied.

    Attributes:
        rotation_deg: about each axis; about K only if `in_plane`.
        scale: factor of the coordinates: above 1 shows more of the surroundings, smaller.
        shift: along each axis, as a share of its length.
        elastic: strength of a displacement that is smoothed by 9 to 13 voxels.
        in_plane: the changes above, blur and low resolution spare K.
        noise_variance: of normal noise.
        blur_vox: standard deviation of a Gaussian.
        multiply: factor of all values.
        add: standard deviation of what is added to all values; the first number of the range.
        contrast: factor of the distance to the mean; the range of values is kept.
        low_resolution: share of the voxels along each axis that is kept before enlarging again.
        gamma_inverted: exponent of the inverted image; mean and deviation are kept.
        gamma: exponent; mean and deviation are kept.
        mirror_axes: each of these axes (0 is K) is flipped in half of the samples. Labels keep
            their values: a swapped liver would teach wrong anatomy.
        cutout: edge of a cube that becomes the image's minimum and background.
        exclusive: at most one of the changes, each as likely as none, whatever its probability.
    """

    rotation_deg: Chance = NEVER
    scale: Chance = NEVER
    shift: Chance = NEVER
    elastic: Chance = NEVER
    in_plane: bool = False
    noise_variance: Chance = NEVER
    blur_vox: Chance = NEVER
    multiply: Chance = NEVER
    add: Chance = NEVER
    contrast: Chance = NEVER
    low_resolution: Chance = NEVER
    gamma_inverted: Chance = NEVER
    gamma: Chance = NEVER
    mirror_axes: tuple[int, ...] = ()
    cutout: Chance = NEVER
    exclusive: bool = False


def augmentation_named(name: str) -> AugmentationParameters:
    """The list called `name`.

    Raises:
        UsageError: no such list; the message names those there are.
    """
    if name not in AUGMENTATIONS:
        message = f"There is no augmentation '{name}'. Known: {', '.join(AUGMENTATIONS)}."
        raise UsageError(message, code="usage.augmentation")
    return AUGMENTATIONS[name]


_NNUNET = AugmentationParameters(
    rotation_deg=(0.2, -30, 30),
    scale=(0.2, 0.7, 1.4),
    noise_variance=(0.1, 0, 0.1),
    blur_vox=(0.2, 0.5, 1.0),
    multiply=(0.15, 0.75, 1.25),
    contrast=(0.15, 0.75, 1.25),
    low_resolution=(0.25, 0.5, 1.0),
    gamma_inverted=(0.1, 0.7, 1.5),
    gamma=(0.3, 0.7, 1.5),
    mirror_axes=(0, 1, 2),
)
_LI = AugmentationParameters(
    rotation_deg=(0.2, -180, 180),
    scale=(0.2, 0.85, 1.25),
    elastic=(0.2, 0, 200),
    in_plane=True,
    noise_variance=(0.1, 0, 0.15),
    blur_vox=(0.2, 0.5, 1.0),
    multiply=(0.15, 0.75, 1.25),
    add=(0.15, 0.1, 0.1),
    contrast=(0.15, 0.6, 1.5),
    low_resolution=(0.25, 0.5, 1.0),
    gamma_inverted=(0.1, 0.2, 1.8),
    gamma=(0.3, 0.2, 1.8),
    mirror_axes=(1, 2),
)
_HE = AugmentationParameters(
    rotation_deg=(0.2, -30, 30),
    scale=(0.2, 0.7, 1.4),
    in_plane=True,
    noise_variance=(0.1, 0, 0.01),
    blur_vox=(0.2, 0.5, 1.0),
    multiply=(0.15, 0.75, 1.25),
    contrast=(0.15, 0.75, 1.25),
    low_resolution=(0.25, 0.5, 1.0),
    gamma_inverted=(0.1, 0.7, 1.5),
    gamma=(0.3, 0.7, 1.5),
    mirror_axes=(0, 1, 2),
    cutout=(0.15, 32, 32),
)
_YE = AugmentationParameters(
    noise_variance=(0.5, 0.0025, 0.0025), multiply=(0.5, 0.9, 1.1), add=(0.5, 0.06, 0.06)
)
_LI_SLICES = AugmentationParameters(
    rotation_deg=(0.5, -30, 30),
    scale=(0.5, 0.9, 1.1),
    shift=(0.5, -0.1, 0.1),
    in_plane=True,
    mirror_axes=(1, 2),
)
_HE_PATCHES = AugmentationParameters(
    rotation_deg=(1.0, -40, 40),
    elastic=(1.0, 0, 200),
    noise_variance=(1.0, 0, 0.01),
    blur_vox=(1.0, 0.5, 1.0),
    add=(1.0, 0.08, 0.08),
    contrast=(1.0, 0.75, 1.25),
    exclusive=True,
)
_MINI = AugmentationParameters(
    rotation_deg=(0.5, -10, 10),
    scale=(0.5, 0.9, 1.15),
    shift=(0.5, -0.08, 0.08),
    noise_variance=(0.2, 0, 0.05),
    multiply=(0.3, 0.75, 1.25),
    contrast=(0.3, 0.75, 1.25),
    gamma=(0.5, 0.6, 1.6),
)

AUGMENTATIONS: Mapping[str, AugmentationParameters] = MappingProxyType(
    {
        "none": AugmentationParameters(),
        "mini": _MINI,
        "nnunet": _NNUNET,
        "li2024": _LI,
        "he2024": _HE,
        "ye2023": _YE,
        "stmt2023": _NNUNET,
        "li2024-slices": _LI_SLICES,
        "he2024-patches": _HE_PATCHES,
    }
)
"""The lists of the papers; the last two are of the translators of Li et al. and He et al.

"mini" is ours: what hundreds of steps can still learn.
"""
