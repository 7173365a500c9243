"""Aligning two images of an abdomen, with ANTs where it is installed and SimpleITK elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal, cast, get_args

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import DependencyError, InputError, UsageError
from FlareMRCore.imaging.body_mask import body_mask, otsu_threshold
from FlareMRCore.imaging.registration_ants import align_with_ants
from FlareMRCore.imaging.registration_sitk import (
    SimilarityMetric,
    align_with_sitk,
    one_thread,
    similarity,
)
from FlareMRCore.imaging.registration_transform import SpatialTransform, identity_transform
from FlareMRCore.imaging.resampling import resample_to_spacing

Kind = Literal["translation", "rigid", "affine", "syn"]
Subject = Literal["image", "mask", "label"]
Backend = Literal["auto", "ants", "sitk"]

METHODS: Mapping[str, Mapping[str, str]] = {
    "ants": {
        "translation": "ANTs Translation",
        "rigid": "ANTs Rigid",
        "affine": "ANTs Affine",
        "syn": "ANTs SyN (affine, then symmetric diffeomorphic)",
    },
    "sitk": {
        "translation": "SimpleITK translation",
        "rigid": "SimpleITK rigid",
        "affine": "SimpleITK affine",
        "syn": "SimpleITK affine, then diffeomorphic demons in place of SyN",
    },
}
"""What each backend does for each kind."""


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """How to align.

    Attributes:
        on: what is compared: the intensities, the body masks made from them, or label maps.
        metric: ``"mattes"`` (mutual information) or ``"meansquares"``.
        backend: ``"auto"`` takes ANTs if it is installed.
        seed: of the sampling of voxels.
        max_voxels: images are first resampled to cubic voxels so that none has many more than
            this; None keeps their grids.
        mask_percentile: body masks: Otsu's threshold looks at voxels up to this percentile
            (80 between MR images, 100 with CT).
        solid_mask: body masks keep the largest component with its holes filled; False is the
            bare threshold, as published.
    """

    on: Subject = "image"
    metric: SimilarityMetric = "mattes"
    backend: Backend = "auto"
    seed: int = 42
    max_voxels: int | None = 400_000
    mask_percentile: float = 80.0
    solid_mask: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """A transform and how it was found.

    Attributes:
        transform: from the fixed image's space into the moving one's.
        backend: ``"ants"`` or ``"sitk"``.
        similarity_before: similarity with no transform, higher is better; the metric's own unit.
        similarity_after: the same with the transform.
    """

    transform: SpatialTransform
    backend: str
    similarity_before: float
    similarity_after: float


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What a registration package offers here.

    Attributes:
        backend: ``"ants"`` or ``"sitk"``.
        available: it is installed.
        version: of the package, empty if it is not installed.
        chosen: ``"auto"`` means this one.
        methods: what each kind of registration is done by.
    """

    backend: str
    available: bool
    version: str
    chosen: bool
    methods: Mapping[str, str]


def registration_backends() -> tuple[BackendReport, ...]:
    """The capability report: which packages are there, and what SyN becomes with each."""
    packages = {"ants": ("ants", "antspyx"), "sitk": ("SimpleITK", "SimpleITK")}
    present = {name: find_spec(module) is not None for name, (module, _) in packages.items()}
    chosen = "ants" if present["ants"] else "sitk"
    return tuple(
        BackendReport(
            name, present[name], _version(package) if present[name] else "", name == chosen,
            METHODS[name],
        )
        for name, (_, package) in packages.items()
    )  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # built into an application, without the files of pip
        return "unknown version"


def align(
    fixed: Volume | LabelMap,
    moving: Volume | LabelMap,
    *,
    kind: Kind,
    options: RegistrationOptions | None = None,
) -> Registration:
    """Transform that brings `moving` onto `fixed`; apply it with `warp_volume` or `warp_labels`.

    Equal input, options and package versions give equal transforms on one machine.

    Args:
        fixed: image, or label map with ``on="label"``.
        moving: the same of the other examination.
        kind: how much may change. ``"syn"`` needs ANTs to be SyN; without it, the transform's
            `method` names the demons that took its place.
        options: see `RegistrationOptions`.

    Raises:
        UsageError: unknown kind or backend, or images where label maps are needed.
        DependencyError: ANTs is asked for by name and not installed.
        InputError: nothing to align, or no overlap that can be improved.

    Source: Avants et al., Med Image Anal 12 (2008) 26-41 (SyN); Mattes et al., IEEE Trans Med
        Imaging 22 (2003) 120-128 (mutual information).
    """
    options = options or RegistrationOptions()
    backend = _backend(kind, options)
    pair = (_subject(fixed, options), _subject(moving, options))
    spacing_mm = _working_spacing(pair, options.max_voxels)
    if spacing_mm is not None:
        pair = (_coarser(pair[0], spacing_mm), _coarser(pair[1], spacing_mm))
    run = align_with_ants if backend == "ants" else align_with_sitk
    transform = run(*pair, kind=kind, metric=options.metric, seed=options.seed)
    transform = replace(transform, method=METHODS[backend][kind])
    score = functools.partial(similarity, *pair, metric=options.metric, seed=options.seed)
    with one_thread():
        before, after = score(transform=identity_transform()), score(transform=transform)
    return Registration(transform, backend, before, after)


def _backend(kind: str, options: RegistrationOptions) -> str:
    if kind not in get_args(Kind) or options.backend not in get_args(Backend):
        raise UsageError(
            f"There is no registration '{kind}' by '{options.backend}'. Kinds: "
            f"{', '.join(get_args(Kind))}; backends: {', '.join(get_args(Backend))}.",
            code="usage.registration",
        )
    has_ants = find_spec("ants") is not None
    if options.backend == "ants" and not has_ants:
        raise DependencyError(
            "ANTs is not installed.",
            code="dependency.ants",
            hint="Install it with 'pip install antspyx', or choose the backend 'sitk'.",
        )
    if options.backend == "auto":
        return "ants" if has_ants else "sitk"
    return options.backend


def _subject(image: Volume | LabelMap, options: RegistrationOptions) -> Volume:
    """What is compared, as an image."""
    if isinstance(image, LabelMap) != (options.on == "label"):
        raise UsageError(
            f"Alignment by {options.on} takes {'label maps' if options.on == 'label' else 'images'}"
            f"; found a {type(image).__name__}.",
            code="usage.registration",
        )
    array = image.array.astype(np.float32, copy=False)
    if options.on == "mask":
        array = _mask(cast(Volume, image), options).astype(np.float32)
    if array.min() == array.max():
        raise InputError(
            f"There is nothing to align: the {options.on} of shape {array.shape} is constant.",
            code="input.constant",
            hint="Check that the file holds an image with the abdomen in view.",
        )
    return Volume(array, image.geometry)


def _mask(volume: Volume, options: RegistrationOptions) -> np.ndarray[tuple[int, ...], np.dtype]:
    if options.solid_mask:
        return body_mask(volume, upper_percentile=options.mask_percentile)
    return volume.array > otsu_threshold(volume.array, options.mask_percentile)


def _working_spacing(pair: tuple[Volume, Volume], max_voxels: int | None) -> float | None:
    """Cubic voxel size in mm for both images; None to keep their grids."""
    if max_voxels is None:
        return None
    finest = min(min(volume.geometry.spacing_mm) for volume in pair)
    needed = max((_volume_mm3(volume.geometry) / max_voxels) ** (1 / 3) for volume in pair)
    return float(max(finest, needed))


def _volume_mm3(geometry: Geometry) -> float:
    return geometry.voxel_volume_mm3 * float(np.prod(geometry.shape))


def _coarser(volume: Volume, spacing_mm: float) -> Volume:
    """`volume` with voxels of `spacing_mm`; axes that are coarser already stay."""
    k, j, i = (max(spacing_mm, s) for s in volume.geometry.spacing_mm)
    return resample_to_spacing(volume, (k, j, i), antialias=True)
