"""Random changes of images and labels: drawn in one function, applied in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.augmentation_parameters import (
    NEVER,
    AugmentationParameters,
    Chance,
)
from FlareMRCore.training.corruption import blur

SMOOTHING_VOX = (9.0, 13.0)
"""Range of the smoothing of elastic displacements. Source: batchgenerators."""
_RANGES = ("rotation_deg", "scale", "shift", "elastic", "noise_variance", "blur_vox", "multiply",
           "add", "contrast", "low_resolution", "gamma_inverted", "gamma", "cutout")  # fmt: skip
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to one sample; None or empty where nothing does.

    Attributes:
        rotation_deg: about the axes K, J and I.
        scale: factor of the coordinates.
        shift: along K, J and I, as a share of their lengths.
        elastic: strength and smoothing in voxels.
        in_plane: elastic displacement and low resolution spare K.
        noise_deviation: of normal noise.
        blur_vox: standard deviation along K, J and I.
        multiply: factor.
        add: what is added.
        contrast: factor of the distance to the mean.
        low_resolution: share of the voxels that is kept.
        gamma_inverted: exponent of the inverted image.
        gamma: exponent.
        mirrored: axes to flip.
        cutout: first corner as shares of the lengths, and the edge in voxels.
        seed: of noise and elastic displacement, which are drawn on the device.
    """

    rotation_deg: Triple | None = None
    scale: float | None = None
    shift: Triple | None = None
    elastic: tuple[float, float] | None = None
    in_plane: bool = False
    noise_deviation: float | None = None
    blur_vox: Triple | None = None
    multiply: float | None = None
    add: float | None = None
    contrast: float | None = None
    low_resolution: float | None = None
    gamma_inverted: float | None = None
    gamma: float | None = None
    mirrored: tuple[int, ...] = ()
    cutout: tuple[Triple, int] | None = None
    seed: int = 0


def draw_augmentation(parameters: AugmentationParameters, rng: Generator) -> Augmentation:
    """What shall happen to one sample; all randomness comes from `rng`."""
    p = _only_one(parameters, rng) if parameters.exclusive else parameters
    variance, add, cutout = _value(p.noise_variance, rng), _value(p.add, rng), _value(p.cutout, rng)
    sigma = _value(p.blur_vox, rng)
    flips = tuple(axis for axis in p.mirror_axes if rng.random() < 0.5)
    strength = _value(p.elastic, rng)
    return Augmentation(
        rotation_deg=_triple(p.rotation_deg, rng, axes=(0,) if p.in_plane else (0, 1, 2)),
        scale=_value(p.scale, rng),
        shift=_triple(p.shift, rng, axes=(1, 2) if p.in_plane else (0, 1, 2)),
        elastic=None if strength is None else (strength, float(rng.uniform(*SMOOTHING_VOX))),
        in_plane=p.in_plane,
        noise_deviation=None if variance is None else float(np.sqrt(variance)),
        blur_vox=None if sigma is None else (0.0 if p.in_plane else sigma, sigma, sigma),
        multiply=_value(p.multiply, rng),
        add=None if add is None else float(rng.normal(0, add)),
        contrast=_value(p.contrast, rng),
        low_resolution=_value(p.low_resolution, rng),
        gamma_inverted=_exponent(p.gamma_inverted, rng),
        gamma=_exponent(p.gamma, rng),
        mirrored=flips,
        cutout=None if cutout is None else (_corner(rng), round(cutout)),
        seed=int(rng.integers(2**31)),
    )


def apply_augmentation(
    image: Tensor, labels: Tensor, augmentation: Augmentation
) -> tuple[Tensor, Tensor]:
    """Image and labels after the changes, on the device they are on.

    Args:
        image: (C, K, J, I) or (C, J, I) float32.
        labels: (L, ...) int64 on the same grid; L may be 0. Outside of it they become 0, and the
            image its minimum.
        augmentation: what to do.
    """
    if image.ndim == 3:
        flat = replace(augmentation, in_plane=True)
        image, labels = apply_augmentation(image[:, None], labels[:, None], flat)
        return image[:, 0], labels[:, 0]
    generator = torch.Generator(image.device).manual_seed(augmentation.seed)
    grid = _grid(augmentation, image.shape[1:], generator)
    if grid is not None:
        low = image.amin()
        image = _sampled(image - low, grid.to(image), "bilinear") + low
        labels = _sampled(labels.float(), grid.to(image), "nearest").long()
    image = _change_values(image, augmentation, generator)
    if augmentation.mirrored:
        axes = [axis + 1 for axis in augmentation.mirrored]
        image, labels = image.flip(axes), labels.flip(axes)
    return _cut_out(image, labels, augmentation)


def _change_values(image: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    a = augmentation
    if a.noise_deviation is not None:
        noise = torch.randn(image.shape, generator=generator, device=image.device)
        image = image + a.noise_deviation * noise
    if a.blur_vox is not None:
        image = torch.stack([blur(channel, a.blur_vox) for channel in image])
    if a.multiply is not None:
        image = image * a.multiply
    if a.add is not None:
        image = image + a.add
    if a.contrast is not None:
        mean, low, high = image.mean(), image.amin(), image.amax()
        image = ((image - mean) * a.contrast + mean).clamp(low, high)
    return _change_curve(image, augmentation)


def _change_curve(image: Tensor, augmentation: Augmentation) -> Tensor:
    a = augmentation
    if a.low_resolution is not None:
        image = _coarsened(image, a.low_resolution, in_plane=a.in_plane)
    if a.gamma_inverted is not None:
        image = -_with_gamma(-image, a.gamma_inverted)
    if a.gamma is not None:
        image = _with_gamma(image, a.gamma)
    return image


def _grid(
    augmentation: Augmentation, shape: Sequence[int], generator: torch.Generator
) -> Tensor | None:
    """Where each voxel comes from, (K, J, I, 3) as grid_sample wants it; None for no movement."""
    a = augmentation
    if a.rotation_deg is None and a.scale is None and a.shift is None and a.elastic is None:
        return None
    device = generator.device
    size = torch.tensor([float(n) for n in shape], device=device)
    axes = [torch.arange(n, device=device) - (n - 1) / 2 for n in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    if a.elastic is not None:
        points = points + _displacement(a, shape, generator)
    matrix = rotation_matrix(a.rotation_deg or (0.0, 0.0, 0.0)) * (a.scale or 1.0)
    points = points @ torch.from_numpy(matrix.astype(np.float32)).to(device).T
    if a.shift is not None:
        points = points + torch.tensor(a.shift, device=device) * size
    return (points / size * 2).flip(-1)


def rotation_matrix(angles_deg: Triple) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rotation of (K, J, I) by angles about K, then J, then I."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        first, second = [n for n in range(3) if n != axis]
        rotation = np.eye(3)
        rotation[first, first] = rotation[second, second] = np.cos(angle)
        rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
        matrix = rotation @ matrix
    return matrix


def _displacement(
    augmentation: Augmentation, shape: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Elastic displacement in voxels, (K, J, I, 3)."""
    strength, smoothing = augmentation.elastic or (0.0, 1.0)
    k, j, i = shape
    depth = 1 if augmentation.in_plane else k
    sigma = (0.0 if augmentation.in_plane else smoothing, smoothing, smoothing)
    parts = []
    for axis in range(3):
        noise = torch.rand((depth, j, i), generator=generator, device=generator.device) * 2 - 1
        still = augmentation.in_plane and axis == 0
        parts.append(noise * 0 if still else blur(noise, sigma) * strength)
    return torch.stack(parts, dim=-1).expand(k, j, i, 3)


def _sampled(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    if not len(x):
        return x
    return functional.grid_sample(x[None], grid[None], mode=mode, align_corners=False)[0]


def _coarsened(image: Tensor, share: float, *, in_plane: bool) -> Tensor:
    shape = image.shape[1:]
    small = [max(1, round(n * share)) for n in shape]
    if in_plane:
        small[0] = shape[0]
    coarse = functional.interpolate(image[None], small, mode="nearest-exact")
    return functional.interpolate(coarse, shape, mode="trilinear", align_corners=False)[0]


def _with_gamma(image: Tensor, exponent: float) -> Tensor:
    """The image with its range curved, then its mean and deviation restored."""
    mean, deviation, low = image.mean(), image.std(), image.amin()
    extent = (image.amax() - low).clamp(min=1e-7)
    curved = ((image - low) / extent).clamp(0, 1) ** exponent * extent + low
    return (curved - curved.mean()) / curved.std().clamp(min=1e-8) * deviation + mean


def _cut_out(image: Tensor, labels: Tensor, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    if augmentation.cutout is None:
        return image, labels
    corner, edge = augmentation.cutout
    starts = [round(c * max(0, n - edge)) for c, n in zip(corner, image.shape[1:], strict=True)]
    cube = (slice(None), *(slice(start, start + edge) for start in starts))
    image, labels = image.clone(), labels.clone()
    image[cube], labels[cube] = image.amin(), 0
    return image, labels


def _only_one(parameters: AugmentationParameters, rng: Generator) -> AugmentationParameters:
    """One of the changes for certain and none of the others, or none at all."""
    names = [name for name in _RANGES if getattr(parameters, name)[0] > 0]
    chosen = int(rng.integers(len(names) + 1))
    changes: dict[str, Chance] = {
        name: (1.0, *getattr(parameters, name)[1:]) if n == chosen else NEVER
        for n, name in enumerate(names)
    }
    return replace(parameters, **changes)  # type: ignore[arg-type]  # all of these are chances


def _value(chance: Chance, rng: Generator) -> float | None:
    probability, low, high = chance
    return float(rng.uniform(low, high)) if rng.random() < probability else None


def _triple(chance: Chance, rng: Generator, *, axes: tuple[int, ...]) -> Triple | None:
    probability, low, high = chance
    if rng.random() >= probability:
        return None
    k, j, i = (float(rng.uniform(low, high)) if axis in axes else 0.0 for axis in range(3))
    return k, j, i


def _exponent(chance: Chance, rng: Generator) -> float | None:
    """Below 1 as often as above it, whatever their shares of the range."""
    probability, low, high = chance
    if rng.random() >= probability:
        return None
    if rng.random() < 0.5 and low < 1:
        return float(rng.uniform(low, 1))
    return float(rng.uniform(max(low, 1), high))


def _corner(rng: Generator) -> Triple:
    return float(rng.random()), float(rng.random()), float(rng.random())
