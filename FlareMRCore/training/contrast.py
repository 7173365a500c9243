"""Random MR-like appearance for a tissue map or a CT: the heart of training without MR labels.

Three families, chosen at random for each sample:
* physics: signal equations of spin echo, spoiled gradient echo and diffusion-weighted sequences
  with random timing, fat suppression and contrast agent, over relaxation times of tissues;
* random: one random gray value per tissue (Billot et al., SynthSeg, Med Image Anal 2023);
* curve: a random intensity curve and a random shallow network applied to the CT
  (Ouyang et al., Causality-inspired single-source domain generalization, IEEE TMI 2023).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.tissues import (
    AIR,
    CLUSTER_CENTERS_HU,
    FAT,
    MUSCLE,
    TIED,
    TISSUE_COUNT,
    WATERY,
    tissue_table,
)

Table = NDArray[np.float32]
OPPOSED_SHARE = 0.15
"""Share of painted images in which fat is out of phase with water."""
SEQUENCES, SEQUENCE_SHARES = ("t2", "t1", "dwi", "balanced"), (0.36, 0.45, 0.08, 0.11)
SUPPRESSED_SHARE = 0.33
"""Share of painted sequences with fat suppression; diffusion-weighted ones always have it."""
FAT_WATER_HU, FAT_WATER_WIDTH_HU = -45.0, 40.0
SUBCUTANEOUS_FAT = 24
CURVE_KNOTS = 7


def random_appearance(
    tissues: Tensor,
    hounsfield: Tensor,
    rng: Generator,
    *,
    shares: tuple[float, float, float],
    network_share: float,
) -> Tensor:
    """Image (K, J, I), arbitrary units, of a tissue map (K, J, I) int64 and CT (K, J, I).

    Args:
        tissues: ids of `FlareMRCore.training.tissues`.
        hounsfield: CT values; for label maps without CT the table's values plus texture.
        rng: source of all randomness.
        shares: probabilities of the families physics, random and curve.
        network_share: probability of the random network after a curve.

    Negative values are fat out of phase; `corrupt` takes the magnitude.
    """
    family = rng.choice(3, p=np.array(shares) / sum(shares))
    if family == 2:
        return curve_appearance(tissues, hounsfield, rng, network_share=network_share)
    table = physics_signals(rng) if family == 0 else random_signals(rng)
    image = _paint(tissues, hounsfield, table, rng)
    if rng.random() < OPPOSED_SHARE:
        image = image * _fat_phase(tissues, hounsfield)
    return image


def _fat_phase(tissues: Tensor, hounsfield: Tensor) -> Tensor:
    """-1 in fat, 1 in water, between them where CT voxels hold both; (K, J, I).

    Blurred afterwards, the signed image loses its signal along the borders of fat: the dark lines
    of opposed-phase gradient echoes.
    """
    mixed = ((hounsfield - FAT_WATER_HU) / FAT_WATER_WIDTH_HU).clamp(-1, 1)
    phase = torch.where(tissues >= AIR, mixed, torch.ones_like(mixed))
    fat = (tissues == FAT) | (tissues == SUBCUTANEOUS_FAT)
    return torch.where(fat, -1.0, phase)


def physics_signals(rng: Generator) -> Table:
    """Signal per tissue id (48,) of one randomly drawn pulse sequence, largest about 1."""
    jitter = np.exp(rng.normal(0, 0.12, (TISSUE_COUNT, 7))).astype(np.float32)
    properties = _tie(tissue_table() * jitter, rng, probability=0.8)
    t1, t2, density, fat, adc, _, uptake = properties.T
    if rng.random() < 0.45:
        spread = np.exp(rng.normal(0, 0.3, (TISSUE_COUNT, 1))).astype(np.float32)
        spread = _tie(spread, rng, probability=0.8)[:, 0]
        rate = 1 / t1 + uptake * spread * rng.uniform(0.5, 6.0) / 1000
        t1 = (1 / rate).astype(np.float32)
    kind = rng.choice(SEQUENCES, p=SEQUENCE_SHARES)
    signal = _sequence_signal(kind, t1, t2, adc, rng) * density
    signal = _chemical_shift(signal, fat.clip(0, 1), kind, rng)
    signal = _flow(signal, rng)
    return (signal / max(float(np.quantile(signal, 0.95)), 1e-6)).astype(np.float32)


def random_signals(rng: Generator) -> Table:
    """Independent uniform signal per tissue id (48,); tied tissues mostly share theirs."""
    signal = rng.uniform(0, 1, (TISSUE_COUNT, 1)).astype(np.float32)
    signal = _tie(signal, rng, probability=0.85)[:, 0]
    if rng.random() < 0.85:
        signal[list(TIED[-1])] = rng.uniform(0, 0.08)
    return signal


def curve_appearance(
    tissues: Tensor, hounsfield: Tensor, rng: Generator, *, network_share: float
) -> Tensor:
    """The CT (K, J, I) through a random curve, perhaps a random network, and organ offsets."""
    x = ((hounsfield.clamp(-125, 275) + 125) / 400).clamp(0, 1)
    image = through_random_curve(x, rng)
    if rng.random() < network_share:
        image = _random_network(image, rng)
    if rng.random() < 0.6:
        offsets = _tie(rng.normal(0, 0.2, (TISSUE_COUNT, 1)).astype(np.float32), rng, 0.8)[:, 0]
        image = image + torch.from_numpy(offsets).to(x)[tissues]
    if rng.random() < 0.7:
        image = torch.where(hounsfield <= -110, image.min(), image)
    return image - image.min()


def through_random_curve(image: Tensor, rng: Generator) -> Tensor:
    """Values of 0 to 1 through a piecewise linear curve, every other time a monotonic one."""
    knots = rng.uniform(0, 1, CURVE_KNOTS).astype(np.float32)
    if rng.random() < 0.5:
        knots = np.sort(knots)[:: rng.choice([-1, 1])].copy()
    return _piecewise_linear(image, torch.from_numpy(knots).to(image))


def _sequence_signal(kind: str, t1: Table, t2: Table, adc: Table, rng: Generator) -> Table:
    if kind == "t1":
        angle = np.radians(rng.uniform(8, 70))
        decay = np.exp(-rng.uniform(3, 150) / t1)
        t2_star = 0.5 * t2
        steady = np.sin(angle) * (1 - decay) / (1 - np.cos(angle) * decay)
        return np.asarray(steady * np.exp(-rng.uniform(1, 5) / t2_star))
    if kind == "balanced":
        angle = np.radians(rng.uniform(35, 75))
        return np.asarray(np.sin(angle) / ((t1 / t2 + 1) - np.cos(angle) * (t1 / t2 - 1)))
    echo_ms, repetition_ms = rng.uniform(40, 130), rng.uniform(1800, 8000)
    signal = (1 - np.exp(-repetition_ms / t1)) * np.exp(-echo_ms / t2)
    if kind == "dwi":
        signal = signal * np.exp(-rng.uniform(0, 0.8) * adc)
    return np.asarray(signal)


def _chemical_shift(signal: Table, fat: Table, kind: str, rng: Generator) -> Table:
    """Fat suppressed, opposed to water, or bright as is."""
    if kind == "dwi" or rng.random() < SUPPRESSED_SHARE:
        return np.asarray(signal * (1 - fat * rng.uniform(0.75, 1.0)))
    if kind == "t1" and rng.random() < 0.4:
        return np.asarray(signal * np.abs(1 - 2 * np.minimum(fat, 0.45)))
    if kind == "t2":
        return np.asarray(signal * (1 + fat * rng.uniform(0, 1.0)))
    return signal


def _flow(signal: Table, rng: Generator) -> Table:
    """Flowing blood loses signal in many sequences, and gains it in others."""
    signal = signal.copy()
    for vessel in TIED[2]:
        signal[vessel] *= rng.uniform(0.1, 1.3)
    if rng.random() < 0.6:
        signal[list(TIED[2])] = signal[5]
    return signal


def _tie(values: Table, rng: Generator, probability: float) -> Table:
    """Give the tissues of each group of `TIED` the values of its first, group by group."""
    values = values.copy()
    for group in TIED:
        if rng.random() < probability:
            values[list(group)] = values[group[0]]
    return values


def _paint(tissues: Tensor, hounsfield: Tensor, signals: Table, rng: Generator) -> Tensor:
    """Signals painted on the tissue map, with the texture of the CT and smooth mixing."""
    device = tissues.device
    signals = signals.copy()
    if rng.random() < 0.75:
        signals[WATERY] = 0.5 * (signals[FAT] + signals[MUSCLE])
    base = torch.from_numpy(signals).to(device)[tissues]
    base = torch.where(tissues >= AIR, _by_hounsfield(hounsfield, signals), base)
    reference = torch.from_numpy(tissue_table()[:, 5].copy()).to(device)[tissues]
    texture = ((hounsfield - reference) / 60).clamp(-1.5, 1.5)
    strength = rng.normal(0, 0.15, TISSUE_COUNT).astype(np.float32)
    image = base * (1 + torch.from_numpy(strength).to(device)[tissues] * texture)
    mixing = smooth_noise(tissues.shape, rng, cells=int(rng.integers(4, 12))).to(device)
    soft = (tissues >= FAT) | (tissues == 30) | (tissues == 17) | (tissues == 18)
    amount = float(rng.uniform(0, 0.5))
    image = torch.where(soft, image * (1 + amount * mixing), image)
    return image.clamp(min=0)


def _by_hounsfield(hounsfield: Tensor, signals: Table) -> Tensor:
    """Signal of unlabeled CT voxels: between those of the two clusters nearest in HU.

    Hard clusters would paint a rim of a third tissue wherever two of them share a voxel.
    """
    centers = torch.tensor(CLUSTER_CENTERS_HU).to(hounsfield)
    values = torch.from_numpy(signals[AIR : AIR + len(CLUSTER_CENTERS_HU)]).to(hounsfield)
    high = torch.bucketize(hounsfield, centers).clamp(1, len(centers) - 1)
    low = high - 1
    weight = ((hounsfield - centers[low]) / (centers[high] - centers[low])).clamp(0, 1)
    return values[low] * (1 - weight) + values[high] * weight


def smooth_noise(shape: tuple[int, ...], rng: Generator, *, cells: int) -> Tensor:
    """Standard normal values on a coarse grid of about `cells`^3, interpolated to `shape`."""
    grid = torch.from_numpy(rng.normal(0, 1, (1, 1, cells, cells, cells)).astype(np.float32))
    return functional.interpolate(grid, size=shape, mode="trilinear", align_corners=True)[0, 0]


def _piecewise_linear(x: Tensor, knots: Tensor) -> Tensor:
    position = x * (len(knots) - 1)
    low = position.floor().long().clamp(max=len(knots) - 2)
    weight = position - low
    return knots[low] * (1 - weight) + knots[low + 1] * weight


def _random_network(image: Tensor, rng: Generator) -> Tensor:
    """Random convolutions (1 or 3 wide) with leaky ReLU, mixed with the input, same energy."""
    x = image[None, None]
    channels = [1, *([2] * int(rng.integers(1, 4))), 1]
    for fan_in, fan_out in pairwise(channels):
        size = int(rng.choice([1, 3]))
        kernel = rng.normal(0, 1, (fan_out, fan_in, size, size, size)).astype(np.float32)
        bias = torch.from_numpy(rng.normal(0, 0.5, fan_out).astype(np.float32)).to(image)
        x = functional.conv3d(x, torch.from_numpy(kernel).to(image), bias, padding=size // 2)
        x = functional.leaky_relu(x, 0.2)
    result = x[0, 0]
    result = (result - result.mean()) / result.std().clamp(min=1e-6) * image.std()
    share = float(rng.uniform(0, 1))
    return share * (result + image.mean()) + (1 - share) * image
