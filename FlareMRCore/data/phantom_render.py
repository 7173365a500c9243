"""How a phantom's anatomy looks in CT and in nine MR sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.phantom_anatomy import Anatomy
from FlareMRCore.data.phantom_shapes import Field, linear_field, wave_field
from FlareMRCore.data.phantom_tissues import Tissue, pure_fat, tissue_code, tissue_table
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import UsageError

RELAXIVITY_T1 = 4.0
"""Relaxivity r1 in L/mmol/s: typical magnitude of an extracellular agent, chosen."""

RELAXIVITY_T2_STAR = 6.0
"""Relaxivity r2* in L/mmol/s, chosen."""

BLOOD_IN_SPIN_ECHO = 0.15
"""Part of the signal that flowing blood keeps in spin echo (flow void), chosen."""

POINT_SPREAD_VOX = 0.45
"""Standard deviation of the blur that makes partial volumes at borders."""

CT_NOISE_HU = 400.0
"""Unit of `RenderOptions.noise` in CT."""

TEXTURE_CELL_MM = 3.0
TEXTURE_GRAIN_MM = 4.0
TEXTURE_CELLS = 64


@dataclass(frozen=True, slots=True)
class Sequence:
    """An MR sequence: spoiled gradient echo (`flip_deg` set) or spin echo (`flip_deg` None).

    Attributes:
        fat_weight: what a fat proton adds: 1 in phase, -1 opposed, near 0 suppressed.
        phase: index into `Tissue.gd_mmol`; None before contrast agent.
        b: diffusion weighting in ms/um2.
    """

    tr_ms: float
    te_ms: float
    flip_deg: float | None
    fat_weight: float
    phase: int | None = None
    b: float = 0.0


SEQUENCES: dict[str, Sequence] = {
    "t1_in": Sequence(150.0, 2.3, 65.0, 1.0),
    "t1_out": Sequence(150.0, 1.15, 65.0, -1.0),
    "t1_pre": Sequence(4.0, 1.3, 12.0, 0.08),
    "arterial": Sequence(4.0, 1.3, 12.0, 0.08, phase=0),
    "venous": Sequence(4.0, 1.3, 12.0, 0.08, phase=1),
    "delay": Sequence(4.0, 1.3, 12.0, 0.08, phase=2),
    "t2": Sequence(6000.0, 70.0, None, 1.0),
    "t2_fs": Sequence(3500.0, 60.0, None, 0.07),
    "dwi": Sequence(6000.0, 60.0, None, 0.05, b=0.6),
}
"""MR sequences at 3 T with common parameters; ``"ct"`` is the further one `render` knows."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How perfect the image is.

    Attributes:
        noise: standard deviation of the Rician noise in units of the mean signal of the body;
            for CT in units of `CT_NOISE_HU`.
        bias: standard deviation of the logarithm of the bias field (MR only).
        scale: factor on MR intensities, whose unit is arbitrary.
        offset: added to MR intensities.
        variation: relative standard deviation of each tissue's signal between seeds.
        texture: factor on the mottling inside tissues.
        slice_samples: number of thin slices along array axis K averaged to one slice.
    """

    noise: float = 0.03
    bias: float = 0.15
    scale: float = 1000.0
    offset: float = 0.0
    variation: float = 0.06
    texture: float = 1.0
    slice_samples: int = 1


def sequence_names() -> tuple[str, ...]:
    """What `render` can render, ``"ct"`` first."""
    return ("ct", *SEQUENCES)


def render(
    anatomy: Anatomy, sequence: str, *, seed: int = 0, options: RenderOptions | None = None
) -> Volume:
    """Image of `anatomy`: HU for ``"ct"`` (portal venous), arbitrary units for MR.

    `seed` chooses noise, bias field, mottling and the tissues' variation. Without noise the
    intensity of a point does not depend on the grid, but for the blur of about half a voxel.
    The result has ``options.slice_samples`` times fewer slices along array axis K; slices that do
    not fill a group are dropped.

    Raises:
        UsageError: unknown sequence, or fewer slices than `slice_samples`.
    """
    chosen = options or RenderOptions()
    if sequence not in sequence_names():
        raise UsageError(
            f"There is no sequence '{sequence}'. Known: {', '.join(sequence_names())}.",
            code="usage.sequence",
        )
    if not 1 <= chosen.slice_samples <= anatomy.geometry.shape[0]:
        raise UsageError(
            f"Cannot average {chosen.slice_samples} of {anatomy.geometry.shape[0]} slices.",
            code="usage.slice-samples",
        )
    rng = np.random.default_rng([seed, 11])
    tissues = np.where(anatomy.tumors, np.uint8(tissue_code("tumor")), anatomy.tissues)
    texture = _texture(anatomy.geometry, rng)
    if sequence == "ct":
        signal = _ct(tissues, texture, rng, chosen)
    else:
        signal = _mr(tissues, texture, SEQUENCES[sequence], rng, chosen)
        signal *= _bias_field(anatomy.geometry, rng, chosen.bias)
    array, geometry = _averaged(signal, anatomy.geometry, chosen.slice_samples)
    noise_rng = np.random.default_rng([seed, 12, *sequence.encode()])
    if sequence == "ct":
        return Volume(_with_ct_noise(array, noise_rng, chosen), geometry)
    noisy = _with_rician_noise(array, noise_rng, chosen.noise)
    return Volume(noisy * np.float32(chosen.scale) + np.float32(chosen.offset), geometry)


def water_signal(tissue: Tissue, sequence: Sequence) -> float:
    """Signal of a tissue's water: spoiled-gradient-echo or spin-echo equation.

    Source: steady state of the spoiled gradient echo at the flip angle (Ernst and Anderson, Rev
    Sci Instrum 37:93, 1966); mono-exponential relaxation and diffusion otherwise.
    """
    agent = 0.0 if sequence.phase is None else tissue.gd_mmol[sequence.phase]
    r1 = 1.0 / tissue.t1_ms + RELAXIVITY_T1 * agent / 1000.0
    r2_star = 1.0 / tissue.t2_star_ms + RELAXIVITY_T2_STAR * agent / 1000.0
    signal = _signal(sequence, r1=r1, r2=1.0 / tissue.t2_ms, r2_star=r2_star, adc=tissue.adc)
    flow = BLOOD_IN_SPIN_ECHO if tissue.is_blood and sequence.flip_deg is None else 1.0
    return tissue.pd * (1.0 - tissue.fat) * signal * flow


def fat_signal(tissue: Tissue, sequence: Sequence) -> float:
    """Signal of a tissue's fat, in magnitude; the sequence's `fat_weight` is not applied."""
    fat = pure_fat()
    rates = {"r1": 1 / fat["t1_ms"], "r2": 1 / fat["t2_ms"], "r2_star": 1 / fat["t2_star_ms"]}
    return tissue.pd * tissue.fat * _signal(sequence, adc=fat["adc"], **rates)


def _signal(sequence: Sequence, *, r1: float, r2: float, r2_star: float, adc: float) -> float:
    recovery = float(np.exp(-sequence.tr_ms * r1))
    if sequence.flip_deg is None:
        return float((1 - recovery) * np.exp(-sequence.te_ms * r2 - sequence.b * adc))
    flip = np.radians(sequence.flip_deg)
    steady = np.sin(flip) * (1 - recovery) / (1 - np.cos(flip) * recovery)
    return float(steady * np.exp(-sequence.te_ms * r2_star))


def _mr(
    tissues: NDArray[np.uint8],
    texture: Field,
    sequence: Sequence,
    rng: np.random.Generator,
    options: RenderOptions,
) -> Field:
    """Magnitude of the sum of water and fat, which cancel in opposed phase where both mix."""
    water, fat, grain = (np.zeros(256, dtype=np.float32) for _ in range(3))
    factors = _variation(rng, options.variation)
    for tissue in tissue_table().values():
        factor = factors[tissue.id.removeprefix("right_").removeprefix("left_")]
        water[tissue.code] = water_signal(tissue, sequence) * factor
        fat[tissue.code] = fat_signal(tissue, sequence) * factor * sequence.fat_weight
        grain[tissue.code] = tissue.texture * options.texture
    total = (water + fat)[tissues] * (1 + grain[tissues] * texture)
    signal: Field = np.abs(ndimage.gaussian_filter(total, POINT_SPREAD_VOX, mode="nearest"))
    return signal


def _ct(
    tissues: NDArray[np.uint8], texture: Field, rng: np.random.Generator, options: RenderOptions
) -> Field:
    values, grain = (np.zeros(256, dtype=np.float32) for _ in range(2))
    factors = _variation(rng, options.variation)
    for tissue in tissue_table().values():
        factor = factors[tissue.id.removeprefix("right_").removeprefix("left_")]
        values[tissue.code] = tissue.hu + tissue.iodine_hu * factor
        grain[tissue.code] = 100.0 * tissue.texture * options.texture
    total = values[tissues] + grain[tissues] * texture
    signal: Field = ndimage.gaussian_filter(total, POINT_SPREAD_VOX, mode="nearest")
    return signal


def _variation(rng: np.random.Generator, deviation: float) -> dict[str, float]:
    """A factor for each tissue; left and right share theirs."""
    names = dict.fromkeys(
        name.removeprefix("right_").removeprefix("left_") for name in tissue_table()
    )
    return {name: float(np.exp(deviation * rng.standard_normal())) for name in names}


def _texture(geometry: Geometry, rng: np.random.Generator) -> Field:
    """Mottling with standard deviation 1, fixed in world space and repeated every few hundred mm.

    A smooth random lattice, read at the nearest cell. Its offset keeps the voxel centers of round
    grids off the cells' borders, where rounding would decide.
    """
    lattice = rng.standard_normal((TEXTURE_CELLS,) * 3, dtype=np.float32)
    lattice = ndimage.gaussian_filter(lattice, TEXTURE_GRAIN_MM / TEXTURE_CELL_MM, mode="wrap")
    lattice /= lattice.std()
    index = np.zeros(geometry.shape, dtype=np.int64)
    for axis in np.eye(3) / TEXTURE_CELL_MM:
        cell = np.floor(linear_field(geometry, axis, 0.1377)).astype(np.int64)
        index = index * TEXTURE_CELLS + np.mod(cell, TEXTURE_CELLS)
    values: Field = lattice.ravel()[index]
    return values


def _bias_field(geometry: Geometry, rng: np.random.Generator, deviation: float) -> Field:
    """Smooth positive factor, fixed in world space: a few long waves."""
    log_bias = np.zeros(geometry.shape, dtype=np.float32)
    for _ in range(3):
        direction = rng.normal(size=3)
        wave = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(350.0, 800.0)
        log_bias += wave_field(geometry, wave, rng.uniform(0, 2 * np.pi))
    field: Field = np.exp(log_bias * np.float32(deviation * np.sqrt(2 / 3)))
    return field


def _averaged(signal: Field, geometry: Geometry, samples: int) -> tuple[Field, Geometry]:
    if samples == 1:
        return signal, geometry
    k, j, i = geometry.shape
    slices = k // samples
    array = signal[: slices * samples].reshape(slices, samples, j, i).mean(axis=1)
    affine = geometry.affine
    affine[:3, 3] += affine[:3, 0] * (samples - 1) / 2
    affine[:3, 0] *= samples
    return array, Geometry.from_affine(affine, (slices, j, i))


def _with_rician_noise(signal: Field, rng: np.random.Generator, noise: float) -> Field:
    if noise == 0:
        return signal
    body = signal[signal > 0.05 * float(signal.max())]
    sigma = np.float32(noise * (float(body.mean()) if body.size else 1.0))
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    magnitude: Field = np.hypot(real, imaginary)
    return magnitude


def _with_ct_noise(signal: Field, rng: np.random.Generator, options: RenderOptions) -> Field:
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    return signal + noise * np.float32(options.noise * CT_NOISE_HU)
