"""Random training samples: a warped part of a case with a random MR-like appearance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.training.contrast import random_appearance, smooth_noise, through_random_curve
from FlareMRCore.training.corruption import blur, corrupt, display_window, thick_slices
from FlareMRCore.training.inner_structure import add_inner_structure
from FlareMRCore.training.organ_absence import Anatomy, with_fat_for_organ
from FlareMRCore.training.organ_choice import THINNING, shown_organs
from FlareMRCore.training.organ_size import resized_organs
from FlareMRCore.training.pack import LABEL_VALUES, PackedCase
from FlareMRCore.training.parameters import SamplingParameters, Shape

FILL_VOX = 16
"""One more than the engine ever fills an axis up with."""

MR_CURVE_SHARE = 0.25
"""Share of real MR that goes through a random intensity curve."""
STRUCTURE_CELLS = 12
"""Cells of the noise that says where organs have which inner structure."""

IGNORED = LABEL_VALUES
"""Label value that allows every class: the row that `draw_sample` adds to those of the pack."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Input (1, K, J, I) float32, labels (K, J, I) int64 and what the labels allow (35, 14)."""

    case_id: str
    image: Tensor
    labels: Tensor
    allowed: Tensor


def draw_sample(
    cases: tuple[PackedCase, ...], parameters: SamplingParameters, rng: Generator
) -> Sample:
    """One sample; all randomness comes from `rng`, so a seed per step makes training repeatable."""
    weights = np.array([case.weight for case in cases])
    case = cases[int(rng.choice(len(cases), p=weights / weights.sum()))]
    shares = np.array(parameters.shape_shares)
    shape = parameters.shapes[int(rng.choice(len(shares), p=shares / shares.sum()))]
    grid = _source_grid(case, shape, parameters, rng)
    labels, tissues = _pick((case.labels, case.tissues), grid)
    anatomy = Anatomy(labels, tissues, _interpolated(case, grid))
    if case.kind != "mr" and parameters.absence_share and rng.random() < parameters.absence_share:
        anatomy = with_fat_for_organ(anatomy, parameters.spacing_mm, rng)
    labels = anatomy.labels
    image = _image(case.kind, anatomy, parameters, rng)
    if parameters.window_share and rng.random() < parameters.window_share:
        image = display_window(image - image.min(), rng)
    values = image.numpy()
    if values.min() == values.max():
        return draw_sample(cases, parameters, rng)
    standardized = torch.from_numpy(standardize(values, foreground_statistics(values)))
    jitter = float(np.exp(rng.normal(0, 0.1)))
    standardized = standardized * jitter + float(rng.normal(0, 0.1))
    if parameters.border_share and rng.random() < parameters.border_share:
        standardized, labels = _repeat_border(standardized, labels, rng)
    allowed = np.vstack([case.allowed, np.ones((1, case.allowed.shape[1]), dtype=bool)])
    return Sample(case.case_id, standardized[None], labels, torch.from_numpy(allowed))


def _repeat_border(image: Tensor, labels: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """The sample with the ends of its axes filled up by repeating the last voxel before.

    Less than `FILL_VOX` voxels at the end of each axis, and up to two at its start; nothing is
    asked of the network there.
    """
    for axis, length in enumerate(labels.shape):
        first = int(rng.integers(0, 3))
        last = length - 1 - int(rng.integers(0, min(FILL_VOX, length // 2)))
        index = torch.arange(length).clamp(first, last)
        image = image.index_select(axis, index)
        labels = labels.index_fill(axis, (index != torch.arange(length)).nonzero()[:, 0], IGNORED)
    return image, labels


def _interpolated(case: PackedCase, grid: Tensor) -> Tensor:
    """The case's image (K, J, I) on the sample's grid; its lowest value outside."""
    source = torch.from_numpy(case.image.astype(np.float32))[None, None]
    low = source.min()
    above = functional.grid_sample(source - low, grid[None], mode="bilinear", align_corners=False)
    return above[0, 0] + low


def _image(kind: str, anatomy: Anatomy, parameters: SamplingParameters, rng: Generator) -> Tensor:
    image = anatomy.hounsfield
    if kind == "mr":
        return _vary_mr(image - image.min(), parameters.spacing_mm, rng)
    if kind == "ct" and rng.random() < parameters.keep_ct:
        return image
    signal = random_appearance(
        anatomy.tissues,
        image,
        rng,
        shares=parameters.contrast_shares,
        network_share=parameters.network_share,
    )
    noise = smooth_noise(anatomy.tissues.shape, rng, cells=STRUCTURE_CELLS)
    signal = add_inner_structure(signal, anatomy.tissues, image, noise, parameters.spacing_mm, rng)
    return corrupt(signal, parameters.spacing_mm, rng)


def _vary_mr(image: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """A real MR as another scanner might have shown it, at times in a contrast of no sequence."""
    image = image.clamp(min=0)
    if rng.random() < MR_CURVE_SHARE:
        brightest = float(torch.quantile(image[::4, ::4, ::4], 0.995))
        image = through_random_curve((image / max(brightest, 1e-6)).clamp(max=1), rng)
    if rng.random() < 0.5:
        image = image.clamp(min=0) ** float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.3:
        image = thick_slices(image, spacing_mm, rng)
    if rng.random() < 0.3:
        image = blur(image, (float(rng.uniform(0.2, 0.7)),) * 3)
    if rng.random() < 0.7:
        return corrupt(image, spacing_mm, rng)
    return image


def _source_grid(
    case: PackedCase, shape: Shape, parameters: SamplingParameters, rng: Generator
) -> Tensor:
    """Where each voxel of the sample lies in the case, (K, J, I, 3), as grid_sample wants it."""
    axes = [(torch.arange(n) - (n - 1) / 2) * parameters.spacing_mm for n in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    matrix = torch.from_numpy(_random_matrix(parameters, rng).astype(np.float32))
    center = torch.from_numpy(_center_vox(case, shape, parameters, rng))
    elastic = rng.normal(0, 1, (1, 3, 5, 5, 5)) * rng.uniform(0, parameters.elastic_mm)
    offsets = functional.interpolate(
        torch.from_numpy(elastic.astype(np.float32)), size=shape, mode="trilinear"
    )
    displaced = points @ matrix.T + offsets[0].permute(1, 2, 3, 0)
    if parameters.organ_size_share and rng.random() < parameters.organ_size_share:
        displaced = resized_organs(displaced, case, center, rng)
    position = displaced / case.spacing_mm + center
    sizes = torch.tensor(case.labels.shape, dtype=torch.float32)
    return ((position + 0.5) / sizes * 2 - 1).flip(-1)


def _random_matrix(parameters: SamplingParameters, rng: Generator) -> NDArray[np.float64]:
    matrix = np.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.radians(rng.normal(0, parameters.rotation_deg))
        rotation = np.eye(3)
        rotation[[first, second], [first, second]] = np.cos(angle)
        rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ rotation
    together = 1 + rng.uniform(-parameters.scale, parameters.scale)
    alone = 1 + rng.uniform(-parameters.scale, parameters.scale, 3) / 3
    return np.asarray(matrix @ np.diag(together * alone))


def _center_vox(
    case: PackedCase, shape: Shape, parameters: SamplingParameters, rng: Generator
) -> NDArray[np.float32]:
    """Index of the sample's center in the case: such that most samples stay inside the case."""
    spacing_mm = parameters.spacing_mm
    size = np.array(case.labels.shape, dtype=np.float64)
    half = np.array(shape) * spacing_mm / case.spacing_mm / 2
    wanted = _wanted_center_vox(case, half, parameters, rng)
    inside = np.clip(wanted, np.minimum(half, size / 2), np.maximum(size - half, size / 2))
    loose = rng.uniform(0, 1) if rng.random() < 0.3 else 0.0
    edge: NDArray[np.float64] = (1 - loose) * inside + loose * wanted
    return (edge - 0.5).astype(np.float32)


def _wanted_center_vox(
    case: PackedCase, half: NDArray[np.float64], parameters: SamplingParameters, rng: Generator
) -> NDArray[np.float64]:
    """Near a voxel of a random organ, or anywhere in the bounding box of all organs.

    Anywhere in a case that shows no organ, as a failed pseudo-label may.
    """
    shown = shown_organs(case.labels)
    if not len(shown.organs):
        return np.asarray(rng.uniform(0, case.labels.shape))
    if parameters.organ_share and rng.random() < parameters.organ_share:
        voxels = shown.of(rng.choice(np.unique(shown.organs)))
        return np.asarray(rng.choice(voxels) + rng.uniform(-0.6, 0.6, 3) * half)
    low, high = shown.voxels.min(0), shown.voxels.max(0)
    return np.asarray(rng.uniform(low - THINNING, high + THINNING))


def _pick(arrays: tuple[NDArray[np.uint8], ...], grid: Tensor) -> tuple[Tensor, ...]:
    """Nearest values of arrays of one shape, int64; 0 outside."""
    size = torch.tensor(arrays[0].shape).flip(0)
    index = ((grid + 1) * size / 2 - 0.5).round().int()
    inside = ((index >= 0) & (index < size)).all(-1)
    i, j, k = index.clamp(min=torch.zeros(3, dtype=torch.int32), max=(size - 1).int()).unbind(-1)
    flat = (k * size[1] + j) * size[0] + i
    values = (torch.from_numpy(array).flatten()[flat.long()] for array in arrays)
    return tuple(torch.where(inside, value.long(), 0) for value in values)
