"""Registration with SimpleITK alone: a chain of stages, each starting from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import SimpleITK

from FlareMRCore.data.geometry import FloatArray, Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.registration_transform import (
    DisplacementField,
    SpatialTransform,
    itk_affine,
    itk_transform,
    matrix_of_itk,
    sitk_image,
)

sitk: Any = SimpleITK  # only some of its functions are annotated
SimilarityMetric = Literal["mattes", "meansquares"]

STAGES = {
    "translation": ("translation",),
    "rigid": ("translation", "rigid"),
    "affine": ("translation", "rigid", "affine"),
    "syn": ("translation", "rigid", "affine"),
}
HISTOGRAM_BINS = 32
SAMPLES = 30_000
"""Voxels at which the metric is evaluated; more cost time and change little."""
SHRINK = (4, 2, 1)
SMOOTHING_VOX = (2.0, 1.0, 0.5)
SMALLEST_AXIS_VOX = 8
"""Pyramid levels on which an axis would be shorter are left out."""
STEPS_MM = (4.0, 0.5)
"""First step of the search; the second is tried where the first led astray."""
SMALLEST_STEP_MM = 0.01
ITERATIONS = 100
INTENSITY_BINS = 64
DEMONS_LEVELS = ((4, 3, 1.5), (2, 3, 1.5), (1, 1, 1.5))
"""Shrink factor, rounds, and smoothing of the displacements in voxels, level by level."""
DEMONS_ITERATIONS = 20


def align_with_sitk(
    fixed: Volume, moving: Volume, *, kind: str, metric: str, seed: int
) -> SpatialTransform:
    """Transform from `fixed` to `moving`; the search starts at the best of three simple guesses.

    Raises:
        InputError: the images do not overlap, or the search failed.
    """
    try:
        with one_thread():
            return _search(fixed, moving, kind, metric=metric, seed=seed)
    except RuntimeError as error:
        raise InputError(
            f"The images could not be aligned ({str(error).strip().splitlines()[-1]}).",
            code="registration.failed",
            hint="Check that both show the same region of the body.",
        ) from error


@contextmanager
def one_thread() -> Iterator[None]:
    """ITK works in one thread meanwhile: several add in changing order, and digits change."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _search(
    fixed: Volume, moving: Volume, kind: str, *, metric: str, seed: int
) -> SpatialTransform:
    """Stage by stage; one that makes the images less alike is tried with small steps, or left."""
    pair = (_float_image(fixed), _float_image(moving))
    best = SpatialTransform(kind, "SimpleITK", _best_start(fixed, moving, metric, seed))
    score = similarity(fixed, moving, transform=best, metric=metric, seed=seed)
    for stage in STAGES[kind]:
        for step_mm in STEPS_MM:
            plan = _Stage(stage, step_mm, final=stage == kind)
            matrix = _linear_stage(plan, best.matrix, pair, metric=metric, seed=seed)
            found = replace(best, matrix=matrix)
            reached = similarity(fixed, moving, transform=found, metric=metric, seed=seed)
            if reached > score:
                best, score = found, reached
                break
    if kind == "syn":
        bent = replace(best, field=_deform(best.matrix, pair, fixed))
        if similarity(fixed, moving, transform=bent, metric=metric, seed=seed) > score:
            best = bent
    return best


def similarity(
    fixed: Volume, moving: Volume, *, transform: SpatialTransform, metric: str, seed: int
) -> float:
    """How alike the images are under `transform`, higher is better; -inf without overlap."""
    target, source = _float_image(fixed), _float_image(moving)
    method = _method(metric, seed, _sampling(target, SAMPLES))
    if transform.field is None:
        method.SetInitialTransform(itk_transform(transform))
    else:  # ITK's metric takes no field
        least = float(moving.array.min())
        source = sitk.Resample(source, target, itk_transform(transform), sitk.sitkLinear, least)
        method.SetInitialTransform(sitk.TranslationTransform(3))
    try:
        return -float(method.MetricEvaluate(target, source))
    except RuntimeError:
        return -np.inf


def _best_start(fixed: Volume, moving: Volume, metric: str, seed: int) -> FloatArray:
    """No shift, grid centers on each other, or centers of mass on each other."""
    centers = [
        (np.zeros(3), np.zeros(3)),
        (_grid_center(fixed.geometry), _grid_center(moving.geometry)),
        (_center_of_mass(fixed), _center_of_mass(moving)),
    ]
    starts = []
    for of_fixed, of_moving in centers:
        matrix = np.eye(4)
        matrix[:3, 3] = of_moving - of_fixed
        starts.append(SpatialTransform("translation", "", matrix))
    scores = [
        similarity(fixed, moving, transform=start, metric=metric, seed=seed) for start in starts
    ]
    best: FloatArray = starts[int(np.argmax(scores))].matrix
    return best


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage of the search: its kind, first step, and whether no other follows."""

    kind: str
    step_mm: float
    final: bool


def _linear_stage(
    stage: _Stage, matrix: FloatArray, pair: tuple[Any, Any], *, metric: str, seed: int
) -> FloatArray:
    """`matrix` improved; stages that only prepare the next one leave the finest level out."""
    fixed, moving = pair
    transform = _initial(stage.kind, matrix, fixed)
    method = _method(metric, seed, _sampling(fixed, SAMPLES))
    wanted = range(len(SHRINK) if stage.final else len(SHRINK) - 1)
    shortest = min(fixed.GetSize())
    levels = [n for n in wanted if shortest >= SHRINK[n] * SMALLEST_AXIS_VOX]
    _set_pyramid(method, fixed, levels or [len(SHRINK) - 1])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=stage.step_mm, minStep=SMALLEST_STEP_MM, numberOfIterations=ITERATIONS,
        relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6,
    )  # fmt: skip
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return matrix_of_itk(transform)


def _initial(stage: str, matrix: FloatArray, fixed: Any) -> Any:
    """ITK's transform of a stage, equal to `matrix`, turning about the middle of the image."""
    start = itk_affine(matrix)
    if stage == "translation":
        return sitk.TranslationTransform(3, start.GetTranslation())
    middle = [(n - 1) / 2 for n in fixed.GetSize()]
    center = np.asarray(fixed.TransformContinuousIndexToPhysicalPoint(middle))
    moved = np.asarray(start.TransformPoint(center.tolist()))
    transform = sitk.Euler3DTransform() if stage == "rigid" else sitk.AffineTransform(3)
    transform.SetCenter(center.tolist())
    transform.SetMatrix(start.GetMatrix())
    transform.SetTranslation((moved - center).tolist())
    return transform


def _deform(matrix: FloatArray, pair: tuple[Any, Any], fixed: Volume) -> DisplacementField:
    """Displacements before `matrix`, by demons on intensities translated to those of `fixed`.

    Demons compare intensities, which differ between sequences. So the moving image first gets,
    for each of its intensities, the mean of the fixed image's where the two now overlap; the
    better they fit, the better this translation, hence several rounds.

    Source: Vercauteren et al., NeuroImage 45 (2009) S61-S72 (demons); Guimond et al., IEEE Trans
        Med Imaging 20 (2001) 58-69 (translated intensities).
    """
    image, moving = pair
    least = float(sitk.GetArrayViewFromImage(moving).min())
    aligned = sitk.Resample(moving, image, itk_affine(matrix), sitk.sitkLinear, least)
    field = None
    for shrink, rounds, sigma_vox in DEMONS_LEVELS:
        target, source = (_shrunk(one, shrink) for one in (image, aligned))
        if field is None:
            field = sitk.Image(target.GetSize(), sitk.sitkVectorFloat64, 3)
            field.CopyInformation(target)
        else:
            field = sitk.Resample(field, target)
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfIterations(DEMONS_ITERATIONS)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations([sigma_vox] * 3)
        for _ in range(rounds):
            field = demons.Execute(target, _translated(target, source, field), field)
    vectors = sitk.GetArrayFromImage(sitk.Resample(field, image)) * (-1, -1, 1)
    return DisplacementField(fixed.geometry, vectors.astype(np.float32))


def _shrunk(image: Any, factor: int) -> Any:
    if factor == 1 or min(image.GetSize()) < factor * SMALLEST_AXIS_VOX:
        return image
    size = [n // factor for n in image.GetSize()]
    spacing = [n * s / m for n, s, m in zip(image.GetSize(), image.GetSpacing(), size, strict=True)]
    first = image.TransformContinuousIndexToPhysicalPoint(
        [n / m / 2 - 0.5 for n, m in zip(image.GetSize(), size, strict=True)]
    )
    smooth = sitk.SmoothingRecursiveGaussian(image, [0.5 * s for s in spacing])
    return sitk.Resample(
        smooth, size, sitk.Transform(), sitk.sitkLinear, first, spacing, image.GetDirection()
    )


def _translated(target: Any, source: Any, field: Any) -> Any:
    """`source` with the intensities that `target` has, on average, at the same places."""
    transform = sitk.DisplacementFieldTransform(sitk.Image(field))
    warped = sitk.GetArrayFromImage(sitk.Resample(source, target, transform))
    values = sitk.GetArrayFromImage(source)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, INTENSITY_BINS + 1)))
    bins = np.clip(np.searchsorted(edges, warped, side="right") - 1, 0, len(edges) - 2)
    wanted = sitk.GetArrayViewFromImage(target).ravel()
    counts = np.bincount(bins.ravel(), minlength=len(edges) - 1)
    sums = np.bincount(bins.ravel(), weights=wanted, minlength=len(edges) - 1)
    known = counts > 0
    centers = (edges[1:] + edges[:-1]) / 2
    means = sums[known] / counts[known]
    result = sitk.GetImageFromArray(np.interp(values, centers[known], means).astype(np.float32))
    result.CopyInformation(source)
    return result


def _method(metric: str, seed: int, share: float) -> Any:
    method = sitk.ImageRegistrationMethod()
    if metric == "meansquares":
        method.SetMetricAsMeanSquares()
    else:
        method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM if share < 1 else method.NONE)
    if share < 1:
        method.SetMetricSamplingPercentage(share, seed)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _set_pyramid(method: Any, fixed: Any, levels: list[int]) -> None:
    spacing = float(np.mean(fixed.GetSpacing()))
    method.SetShrinkFactorsPerLevel([SHRINK[n] for n in levels])
    method.SetSmoothingSigmasPerLevel([SMOOTHING_VOX[n] * spacing for n in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()


def _sampling(image: Any, samples: int) -> float:
    return min(1.0, samples / float(image.GetNumberOfPixels()))


def _float_image(volume: Volume) -> Any:
    return sitk_image(volume.array, volume.geometry)


def _grid_center(geometry: Geometry) -> FloatArray:
    center: FloatArray = geometry.corners().mean(axis=0)
    return center


def _center_of_mass(volume: Volume) -> FloatArray:
    """In RAS mm, of the intensities above their minimum."""
    mass = volume.array.astype(np.float64) - float(volume.array.min())
    index = [
        float(np.dot(mass.sum(axis=tuple({0, 1, 2} - {n})), np.arange(size)) / mass.sum())
        for n, size in enumerate(mass.shape)
    ]
    return volume.geometry.index_to_world(np.asarray(index))
