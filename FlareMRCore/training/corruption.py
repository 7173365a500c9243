"""What a scanner does to an image: bias field, thick slices, blur, noise, ghosts, gamma."""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.contrast import smooth_noise

WINDOW_LOW = (0.0, 0.25)
"""Lower end of a display window, relative to the quantile 0.95 of the image."""
WINDOW_HIGH_QUANTILE = (0.96, 1.0)


def corrupt(image: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """The image (K, J, I) as a scanner would have delivered it, as magnitude.

    Args:
        image: signal without noise.
        spacing_mm: isotropic spacing of the image.
        rng: source of all randomness.
    """
    image = _measured(image / image.abs().amax().clamp(min=1e-6), spacing_mm, rng).abs()
    if rng.random() < 0.25:
        image = _coil_fall_off(image, rng)
    if rng.random() < 0.04:
        image = _wrap(image, rng)
    if rng.random() < 0.8:
        bias = smooth_noise(image.shape, rng, cells=int(rng.integers(2, 5))).to(image)
        image = image * torch.exp(bias * float(rng.uniform(0, 0.55)))
    if rng.random() < 0.1:
        image = _ghost(image, rng)
    if rng.random() < 0.6:
        image = _rician(image, float(rng.uniform(0, 0.06)), rng)
    if rng.random() < 0.4:
        image = image.clamp(min=0) ** float(np.exp(rng.normal(0, 0.25)))
    return image


def display_window(image: Tensor, rng: Generator) -> Tensor:
    """The image (K, J, I) without what is darker or brighter than a random display window.

    Seen in strongly T1-weighted images: kidneys, spleen and muscle near zero, a twentieth of fat,
    which no signal equation gives.
    """
    thinned = image[::2, ::2, ::2].flatten()
    low = float(rng.uniform(*WINDOW_LOW)) * float(torch.quantile(thinned, 0.95))
    high = float(torch.quantile(thinned, float(rng.uniform(*WINDOW_HIGH_QUANTILE))))
    return (image.clamp(max=max(high, 2 * low)) - low).clamp(min=0)


def _measured(image: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """The signed image at the resolution of the scan."""
    if rng.random() < 0.9:
        image = blur(image, (float(rng.uniform(0.3, 0.8)),) * 3)
    if rng.random() < 0.6:
        image = thick_slices(image, spacing_mm, rng)
    if rng.random() < 0.1:
        image = _truncate_frequencies(image, rng)
    return image


def thick_slices(image: Tensor, spacing_mm: float, rng: Generator) -> Tensor:
    """Average along one axis over 3 to 9 mm slices and interpolate back to the grid."""
    axis = int(rng.choice(3, p=[0.65, 0.25, 0.1]))
    step = float(rng.uniform(3, 9)) / spacing_mm
    if step < 1.05:
        return image
    shape = list(image.shape)
    shape[axis] = max(2, round(shape[axis] / step))
    thin = functional.interpolate(image[None, None], size=shape, mode="area")
    return functional.interpolate(thin, size=image.shape, mode="trilinear")[0, 0]


def blur(image: Tensor, sigma_vox: tuple[float, float, float]) -> Tensor:
    """Gaussian blur of (K, J, I), border repeated, standard deviation in voxels per axis."""
    result = image[None, None]
    for axis, sigma in enumerate(sigma_vox):
        if sigma < 0.1:
            continue
        radius = max(1, round(3 * sigma))
        offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        shape, pad = [1, 1, 1, 1, 1], [0] * 6
        shape[2 + axis] = 2 * radius + 1
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        padded = functional.pad(result, pad, mode="replicate")
        result = functional.conv3d(padded, (kernel / kernel.sum()).reshape(shape))
    return result[0, 0]


def _truncate_frequencies(image: Tensor, rng: Generator) -> Tensor:
    """Gibbs ringing: the highest spatial frequencies of an axis were never measured."""
    axis = int(rng.integers(0, 3))
    spectrum = torch.fft.rfft(image, dim=axis)
    kept = max(2, round(spectrum.shape[axis] * float(rng.uniform(0.5, 0.85))))
    spectrum.narrow(axis, kept, spectrum.shape[axis] - kept).zero_()
    result: Tensor = torch.fft.irfft(spectrum, n=image.shape[axis], dim=axis)
    return result


def _coil_fall_off(image: Tensor, rng: Generator) -> Tensor:
    """Less signal far from a surface coil in front, behind, above, below or at one side."""
    axis = int(rng.integers(0, 3))
    depth = torch.linspace(0, float(rng.uniform(0.5, 2.2)), image.shape[axis]).to(image)
    if rng.random() < 0.5:
        depth = depth.flip(0)
    shape = [1, 1, 1]
    shape[axis] = -1
    return image * torch.exp(-depth).reshape(shape)


def _wrap(image: Tensor, rng: Generator) -> Tensor:
    """What lies beyond one end of the field of view is laid over the other end."""
    axis = int(rng.integers(1, 3))
    count = max(1, int(image.shape[axis] * rng.uniform(0.03, 0.15)))
    wrapped = image.clone()
    end = image.narrow(axis, image.shape[axis] - count, count)
    wrapped.narrow(axis, 0, count).add_(end)
    return wrapped


def _rician(image: Tensor, sigma: float, rng: Generator) -> Tensor:
    real = torch.from_numpy(rng.normal(0, sigma, image.shape).astype(np.float32)).to(image)
    imaginary = torch.from_numpy(rng.normal(0, sigma, image.shape).astype(np.float32)).to(image)
    return torch.sqrt((image + real) ** 2 + imaginary**2)


def _ghost(image: Tensor, rng: Generator) -> Tensor:
    axis = int(rng.integers(1, 3))
    shift = int(image.shape[axis] // rng.integers(2, 5))
    return image + float(rng.uniform(0.03, 0.15)) * torch.roll(image, shift, dims=axis)
