"""Changing grids, with one convention for all: voxel edges meet, border values are repeated.

Two grids of one space share their outer edges, and a voxel's value stands at its center. This is
what torch calls ``interpolate(..., align_corners=False)``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Geometry, Shape, Triple
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError

sitk: Any = SimpleITK  # only some of its functions are annotated
FloatArray = NDArray[np.float32]
AREA_FACTOR = 2.0
"""Reduction above which linear interpolation starts to skip voxels, so that averaging pays."""


def resize(array: NDArray[np.generic], shape: Shape, *, antialias: bool = False) -> FloatArray:
    """`array` (K, J, I) on a grid of `shape` over the same space, trilinear, float32.

    Args:
        array: real values of any type.
        shape: voxels along (K, J, I) of the result.
        antialias: average all voxels that a new voxel covers, along the axes that shrink more
            than twofold; otherwise thin structures may fall between the samples.

    Raises:
        UsageError: an axis of `shape` is shorter than one voxel.
    """
    _check_shape(shape)
    result = array.astype(np.float32, copy=False)
    # The axis that shrinks most goes first: the other two then have less to do.
    for axis in sorted(range(3), key=lambda n: shape[n] / array.shape[n]):
        old, new = result.shape[axis], shape[axis]
        if old == new:
            continue
        if antialias and old > AREA_FACTOR * new:
            result = _averaged(result, new, axis)
        else:
            result = _interpolated(result, new, axis)
    return np.ascontiguousarray(result)


def resize_labels(array: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """`array` (K, J, I) on a grid of `shape` over the same space, nearest neighbor, uint8.

    Raises:
        UsageError: an axis of `shape` is shorter than one voxel.
    """
    _check_shape(shape)
    result = array
    for axis in sorted(range(3), key=lambda n: shape[n] / array.shape[n]):
        old, new = array.shape[axis], shape[axis]
        if old != new:
            # Whole numbers, so that a sample halfway between two voxels never wavers.
            nearest = (2 * np.arange(new) + 1) * old // (2 * new)
            result = np.take(result, nearest, axis=axis)
    return np.ascontiguousarray(result)


def resample_to(volume: Volume, geometry: Geometry, *, fill: float = 0.0) -> Volume:
    """`volume` on the grid `geometry`, trilinear; `fill` outside of the volume's outer edges."""
    array = _resampled(volume.array, volume.geometry, geometry, sitk.sitkLinear, fill)
    return Volume(array.astype(np.float32, copy=False), geometry)


def resample_labels_to(label_map: LabelMap, geometry: Geometry, *, fill: int = 0) -> LabelMap:
    """`label_map` on the grid `geometry`, nearest neighbor; `fill` outside of its outer edges."""
    array = _resampled(
        label_map.array, label_map.geometry, geometry, sitk.sitkNearestNeighbor, fill
    )
    return LabelMap(array.astype(np.uint8, copy=False), geometry, label_map.labels)


def resample_to_spacing(volume: Volume, spacing_mm: Triple, *, antialias: bool = False) -> Volume:
    """`volume` over the same space with about `spacing_mm`; see `resampled_geometry`."""
    geometry = resampled_geometry(volume.geometry, spacing_mm)
    return Volume(resize(volume.array, geometry.shape, antialias=antialias), geometry)


def resampled_geometry(geometry: Geometry, spacing_mm: Triple) -> Geometry:
    """Grid over the same space whose shape is rounded to come nearest to `spacing_mm` (K, J, I).

    Because the edges stay, the spacing of the result differs a little from what was asked.

    Raises:
        UsageError: a spacing is not positive.
    """
    _check_spacing(spacing_mm)
    k, j, i = (
        max(1, round(extent / step))
        for extent, step in zip(geometry.extent_mm, spacing_mm, strict=True)
    )
    return geometry.resized((k, j, i))


def axis_aligned_geometry(geometry: Geometry, spacing_mm: Triple) -> Geometry:
    """Smallest grid with axes exactly along S, A, R and `spacing_mm` (K, J, I) over `geometry`.

    Raises:
        UsageError: a spacing is not positive.
    """
    _check_spacing(spacing_mm)
    corners = geometry.corners()
    # From RAS to (K, J, I) of a grid with axes S, A, R.
    low, high = corners.min(axis=0)[::-1], corners.max(axis=0)[::-1]
    shape = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-6)).astype(int)
    first = (low + high) / 2 - (shape - 1) / 2 * np.asarray(spacing_mm)
    k, j, i = (int(n) for n in shape)
    aligned = Geometry((k, j, i), spacing_mm)
    return replace(aligned, origin=(float(first[2]), float(first[1]), float(first[0])))


def _interpolated(array: FloatArray, size: int, axis: int) -> FloatArray:
    """Linear interpolation to `size` voxels along one axis.

    Taking both neighbors and blending them beats a product with a weight matrix twofold.
    """
    low, high, weight = _linear_samples(array.shape[axis], size)
    weight = np.expand_dims(weight, tuple(n for n in range(3) if n != axis))
    below = np.take(array, low, axis=axis)
    above = np.take(array, high, axis=axis)
    above -= below
    above *= weight
    above += below
    return above


def _linear_samples(
    old: int, new: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Neighbors of each new voxel center, and the weight of the upper one."""
    position = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, old - 1), (position - low).astype(np.float32)


def _averaged(array: FloatArray, size: int, axis: int) -> FloatArray:
    """Mean over the part of the old voxels that each of `size` new ones covers."""
    old = array.shape[axis]
    edges = np.arange(size + 1) * (old / size)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights = (np.maximum(overlap, 0) * (size / old)).astype(np.float32)
    return np.moveaxis(np.moveaxis(array, axis, -1) @ weights.T, -1, axis)


def _resampled(
    array: NDArray[np.generic], source: Geometry, target: Geometry, interpolator: int, fill: float
) -> NDArray[np.generic]:
    # In index coordinates every grid is a plain one, and so sheared grids work like others.
    matrix = source.inverse_affine @ target.affine
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3][::-1, ::-1].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3][::-1].tolist())
    size = [int(n) for n in reversed(target.shape)]
    image = sitk.GetImageFromArray(array)
    result = sitk.Resample(
        image, size, transform, interpolator, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), float(fill),
    )  # fmt: skip
    values: NDArray[np.generic] = sitk.GetArrayFromImage(result)
    return values


def _check_shape(shape: Shape) -> None:
    if any(n < 1 for n in shape):
        raise UsageError(f"A shape needs positive numbers; found {shape}.", code="usage.grid")


def _check_spacing(spacing_mm: Triple) -> None:
    if any(not np.isfinite(s) or s <= 0 for s in spacing_mm):
        raise UsageError(
            f"A spacing needs three positive numbers in mm; found {spacing_mm}.",
            code="usage.grid",
        )
