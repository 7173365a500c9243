"""The grid at which a network looks at an image, and the image on it.

Networks with strides answer a little differently when an image is moved by part of a stride. So
that copies of an image with another field of view get nearly the same labels, grids start at
multiples of two voxels in patient space, not at the edge of the image. (Multiples of the whole
stride gave the copies more alike labels, but worse ones: the fill that they need at the start of
each axis cost 0.04 of mean Dice on real images.)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from FlareMRCore.data.geometry import Box, FloatArray, Geometry, Shape, Triple
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import WeightsError
from FlareMRCore.imaging.intensity import IntensityStatistics
from FlareMRCore.imaging.normalization import normalize
from FlareMRCore.imaging.resampling import AREA_FACTOR
from FlareMRCore.weights.registry import NetworkSpec

TOLERANCE_VOX = 1e-4
"""Turning a grid changes the last digits of its origin, which must not move a network's grid."""

PHASE_VOX = 2
"""Voxels that our networks fold into one, along each axis."""


def network_grid(spec: NetworkSpec, image: Geometry, box: Box) -> Geometry:
    """Grid on which the network of `spec` looks at the part `box` of an image.

    For networks of one shape without a spacing it covers the box edge to edge; for others it
    covers at least the box, has the network's spacing, its shape is a multiple of what the network
    asks for (and at least its only shape, if there is one), and it starts at a multiple of
    `PHASE_VOX` voxels in patient space; what fills it up is at its end.

    Args:
        spec: what the network wants.
        image: grid of the image, axes along S, A, R.
        box: voxels of the image.

    Raises:
        WeightsError: the weights name neither a spacing nor a shape.
    """
    if spec.fixed_shape is not None and spec.spacing_mm is None:
        return image.cropped(box).resized(spec.fixed_shape)
    if spec.spacing_mm is None:
        raise WeightsError(
            f"The weights of '{spec.builder}' name neither a spacing nor a shape.",
            code="weights.spec",
        )
    ranges = [
        _axis_range(image, box, axis, spec.spacing_mm[axis], min(PHASE_VOX, spec.multiple_of[axis]))
        for axis in range(3)
    ]
    starts, (k, j, i) = _widened(ranges, spec.multiple_of)
    least = spec.fixed_shape or (1, 1, 1)
    counts = (max(k, least[0]), max(j, least[1]), max(i, least[2]))
    return _grid(image, spec.spacing_mm, starts, counts)


def network_input(
    image: Volume,
    grid: Geometry,
    statistics: IntensityStatistics,
    normalization: Normalization | None = None,
) -> Tensor:
    """The image on `grid`, normalized: (1, 1, K, J, I), float32 on the processor, a copy.

    Args:
        image: axes along S, A, R.
        grid: parallel to the image.
        statistics: intensities of the image's foreground.
        normalization: how; None for the foreground's.
    """
    how = normalization or Normalization()
    return torch.from_numpy(normalize(resampled(image, grid), how, statistics=statistics))[
        None, None
    ]


def resampled(image: Volume, grid: Geometry) -> NDArray[np.float32]:
    """The image on `grid`.

    Axes are interpolated linearly, or averaged where they shrink more than twofold, so that thin
    structures do not fall between samples. Outside of the image its border is repeated.

    Args:
        image: axes along S, A, R.
        grid: parallel to the image.
    """
    array = image.array
    weights = []
    for axis in range(3):
        first, ratio = axis_mapping(grid, image.geometry, axis)
        center = first + ratio * np.arange(grid.shape[axis], dtype=np.float64)
        weights.append(_weights(center, ratio, array.shape[axis]))
    # The axis that shrinks most goes first: the others then have less to do.
    for axis in sorted(range(3), key=lambda n: grid.shape[n] / array.shape[n]):
        array = _along_axis(weights[axis], array, axis)
    return np.ascontiguousarray(array)


def axis_mapping(source: Geometry, target: Geometry, axis: int) -> tuple[float, float]:
    """Where voxels of `source` are on a parallel `target`: index of the first one, and step."""
    first = target.world_to_index(np.asarray(source.origin))[axis]
    return round(float(first), 6), source.spacing_mm[axis] / target.spacing_mm[axis]


def _axis_range(
    image: Geometry, box: Box, axis: int, step_mm: float, block: int
) -> tuple[int, int]:
    """First and one past the last multiple of `step_mm` that cover the box, in whole blocks."""
    center_mm, edge_mm = image.origin[2 - axis], image.spacing_mm[axis]
    low = (center_mm + (box.start[axis] - 0.5) * edge_mm) / step_mm
    high = (center_mm + (box.stop[axis] - 0.5) * edge_mm) / step_mm
    first = math.floor((low + TOLERANCE_VOX) / block) * block
    stop = math.ceil((high - TOLERANCE_VOX) / block) * block
    return first, max(stop, first + block)


def _widened(ranges: list[tuple[int, int]], multiple_of: Shape) -> tuple[Shape, Shape]:
    """First voxels and lengths of ranges lengthened at their end to multiples.

    A grid of one voxel at the network's coarsest level is doubled along I: normalization needs two.
    """
    counts = [
        math.ceil((stop - first) / step) * step
        for (first, stop), step in zip(ranges, multiple_of, strict=True)
    ]
    if tuple(counts) == multiple_of and max(multiple_of) > 1:
        counts[2] *= 2
    k, j, i = (first for first, _ in ranges)
    return (k, j, i), (counts[0], counts[1], counts[2])


def _grid(image: Geometry, spacing_mm: Triple, starts: Shape, counts: Shape) -> Geometry:
    """Grid parallel to the image that begins `starts` voxels from the patient's origin."""
    index = [
        ((start + 0.5) * step - image.origin[2 - axis]) / image.spacing_mm[axis]
        for axis, (start, step) in enumerate(zip(starts, spacing_mm, strict=True))
    ]
    r, a, s = (float(x) for x in image.index_to_world(np.asarray(index)))
    return Geometry(counts, spacing_mm, (r, a, s), image.direction)


def _weights(center: FloatArray, ratio: float, length: int) -> NDArray[np.float32]:
    """Weight of each image voxel in each grid voxel, (grid, image); every row sums to 1."""
    if ratio <= AREA_FACTOR:
        position = np.clip(center, 0, length - 1)
        weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(length)))
    else:
        low, high = center[:, None] - ratio / 2, center[:, None] + ratio / 2
        voxel = np.arange(length)
        weights = np.clip(np.minimum(high, voxel + 0.5) - np.maximum(low, voxel - 0.5), 0.0, None)
        # Cells that only just touch the image, or miss it, repeat its border.
        missed = np.flatnonzero(weights.sum(axis=1) < 1e-6)
        nearest = np.clip(np.rint(center[missed]), 0, length - 1).astype(np.intp)
        weights[missed, nearest] = 1.0
    result: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _along_axis(
    weights: NDArray[np.float32], array: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Matrix `weights` (new, old) times `array` along `axis`; columns of zeros are left out."""
    used = np.flatnonzero(weights.any(axis=0))
    first, stop = int(used[0]), int(used[-1]) + 1
    part = array[(slice(None),) * axis + (slice(first, stop),)]
    matrix = weights[:, first:stop]
    result: NDArray[np.float32]
    if axis == 0:
        result = (matrix @ part.reshape(stop - first, -1)).reshape(-1, *part.shape[1:])
    else:
        result = np.matmul(matrix, part) if axis == 1 else np.matmul(part, matrix.T)
    return result
