"""What a label does not tell: kidneys have a cortex and a medulla, the gut has air and layers.

CT in the portal venous phase hardly shows these, many MR sequences show nothing more clearly; a
network that never saw them takes a bright cortex for an organ of its own.
"""

from __future__ import annotations

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from FlareMRCore.data.labels import organ_table
from FlareMRCore.training.organ_choice import KIDNEYS

GUT = (11, 12, 17, 18, 26)
AIR_HU = -90.0
CORTEX_MM = (4.0, 8.0)
MEDULLA_SIGNAL = (0.45, 1.7)
"""Signal of the medulla relative to the cortex."""


def add_inner_structure(
    image: Tensor,
    tissues: Tensor,
    hounsfield: Tensor,
    noise: Tensor,
    spacing_mm: float,
    rng: Generator,
) -> Tensor:
    """The image (K, J, I) with medullae, air in the gut and layers in the stomach, each at times.

    Args:
        image: signal, one value per tissue or nearly so.
        tissues: ids of `FlareMRCore.training.tissues`, (K, J, I).
        hounsfield: CT or the table's values, (K, J, I).
        noise: standard normal, smooth, (K, J, I).
        spacing_mm: isotropic spacing.
        rng: source of all randomness.
    """
    if rng.random() < 0.5:
        image = _with_medulla(image, tissues, noise, spacing_mm, rng)
    if rng.random() < 0.7:
        image = torch.where(_is_any(tissues, GUT) & (hounsfield < AIR_HU), 0.02 * image, image)
    if rng.random() < 0.4:
        other = float(rng.uniform(0, 1)) * image.amax()
        layer = (tissues == organ_table().by_id("stomach").value) & (
            noise > float(rng.normal(0, 0.7))
        )
        image = torch.where(layer, other, image)
    return image


def _with_medulla(
    image: Tensor, tissues: Tensor, noise: Tensor, spacing_mm: float, rng: Generator
) -> Tensor:
    """Parts of the kidneys' inside, a few millimeters from their surface, with another signal."""
    kidneys = _is_any(tissues, KIDNEYS)
    depth_vox = max(1, round(float(rng.uniform(*CORTEX_MM)) / spacing_mm))
    near_surface = (~kidneys).float()[None, None]
    for axis in range(3):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis], padding[axis] = 2 * depth_vox + 1, depth_vox
        near_surface = functional.max_pool3d(near_surface, size, stride=1, padding=padding)
    medulla = kidneys & (near_surface[0, 0] == 0) & (noise > float(rng.normal(-0.5, 0.5)))
    return torch.where(medulla, image * float(rng.uniform(*MEDULLA_SIGNAL)), image)


def _is_any(tissues: Tensor, wanted: tuple[int, ...]) -> Tensor:
    return torch.isin(tissues, torch.tensor(wanted, device=tissues.device))
