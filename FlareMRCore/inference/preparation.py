"""From an image on any grid to what the networks see, and back to exactly that grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from FlareMRCore.data.geometry import Box, Geometry, Shape, Triple
from FlareMRCore.data.volume import Volume
from FlareMRCore.imaging.intensity import IntensityStatistics, foreground_statistics
from FlareMRCore.imaging.orientation import orient_array, reorient
from FlareMRCore.imaging.resampling import axis_aligned_geometry, resample_to

MAX_OBLIQUITY_DEG = 0.1
"""Half a millimeter at the end of a 300 mm image: less than any network's voxel."""

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image in the engine's axes.

    Attributes:
        source: grid of the input image.
        content: part of its array that is not constant padding.
        working: the content with axes nearest to S, A, R: the input's voxels, permuted.
        aligned: `working` itself, or resampled to axes exactly along S, A, R if it is oblique,
            without constant padding; the networks look at this one.
        statistics: intensities of the foreground.
    """

    source: Geometry
    content: Box
    working: Volume
    aligned: Volume
    statistics: IntensityStatistics

    @property
    def is_oblique(self) -> bool:
        """True if `working` and `aligned` are different grids."""
        return self.aligned is not self.working


def prepare(volume: Volume, *, finest_spacing_mm: float) -> Frame:
    """Frame of `volume`; the input stays as it is.

    Args:
        volume: image on any grid.
        finest_spacing_mm: an oblique image is not resampled to voxels smaller than this.

    Raises:
        InputError: the image is constant.
    """
    content = content_box(volume.array)
    working = reorient(volume.cropped(content))
    statistics = foreground_statistics(working.array)
    aligned = working
    if working.geometry.obliquity_deg > MAX_OBLIQUITY_DEG:
        spacing_mm = _aligned_spacing(working.geometry, finest_spacing_mm)
        grid = axis_aligned_geometry(working.geometry, spacing_mm)
        turned = resample_to(working, grid, fill=float(working.array.min()))
        # Without the corners that the turn added: air changes what normalization layers see.
        aligned = turned.cropped(content_box(turned.array))
    return Frame(volume.geometry, content, working, aligned, statistics)


def restore(frame: Frame, array: NDArray[ScalarT], *, fill: float = 0) -> NDArray[ScalarT]:
    """Values on the grid of `frame.working`, on the grid of the input; `fill` in its padding."""
    result = np.full(frame.source.shape, fill, dtype=array.dtype)
    # Writing through the turned view inverts the turn exactly, however oblique the axes are.
    turned, _ = orient_array(result[frame.content.slices], frame.source.cropped(frame.content))
    turned[...] = array
    return result


def content_box(array: NDArray[np.generic]) -> Box:
    """Box without constant outer slices, such as the padding of a copy or air set to zero.

    Cut until nothing changes, so that padding around constant slices makes no difference either.
    The whole array if it is constant.
    """
    box = Box((0, 0, 0), _shape(array))
    while True:
        inner = _without_constant_ends(array[box.slices])
        if inner is None or inner.shape == box.shape:
            return box
        k, j, i = (a + b for a, b in zip(box.start, inner.start, strict=True))
        box = Box((k, j, i), (k + inner.shape[0], j + inner.shape[1], i + inner.shape[2]))


def pad_to_multiple(x: Tensor, multiple_of: Shape) -> tuple[Tensor, Box]:
    """`x` (1, C, K, J, I) grown evenly on both sides with its minimum, and where it lies in that.

    Each axis becomes a multiple of `multiple_of`. An input that would shrink to a single voxel at
    the network's coarsest level is doubled along I: normalization needs two.
    """
    wanted = [math.ceil(n / step) * step for n, step in zip(x.shape[2:], multiple_of, strict=True)]
    if tuple(wanted) == multiple_of and max(multiple_of) > 1:
        wanted[2] *= 2
    low = [(b - a) // 2 for a, b in zip(x.shape[2:], wanted, strict=True)]
    high = [b - a - lo for a, b, lo in zip(x.shape[2:], wanted, low, strict=True)]
    inner = Box(
        (low[0], low[1], low[2]),
        (wanted[0] - high[0], wanted[1] - high[1], wanted[2] - high[2]),
    )
    if not any(low) and not any(high):
        return x, inner
    amounts = [low[2], high[2], low[1], high[1], low[0], high[0]]
    return functional.pad(x, amounts, value=float(x.min())), inner


def _aligned_spacing(geometry: Geometry, finest_mm: float) -> Triple:
    """Spacing along S, A, R as fine as the oblique grid is in those directions."""
    steps = np.asarray(geometry.direction) / np.asarray(geometry.spacing_mm)[:, None]
    r, a, s = 1.0 / np.linalg.norm(steps, axis=0)
    return max(float(s), finest_mm), max(float(a), finest_mm), max(float(r), finest_mm)


def _without_constant_ends(array: NDArray[np.generic]) -> Box | None:
    """Box without outer slices of one value on each side; None if nothing is left."""
    by_slice = (array.min(axis=(1, 2)), array.max(axis=(1, 2)))
    projected = (array.min(axis=0), array.max(axis=0))
    profiles = (
        by_slice,
        (projected[0].min(axis=1), projected[1].max(axis=1)),
        (projected[0].min(axis=0), projected[1].max(axis=0)),
    )
    ranges = [_varied_range(low, high) for low, high in profiles]
    (k0, k1), (j0, j1), (i0, i1) = ranges
    box = Box((k0, j0, i0), (k1, j1, i1))
    return box if min(box.shape) else None


def _varied_range(low: NDArray[np.generic], high: NDArray[np.generic]) -> tuple[int, int]:
    """Range of slices left after cutting constant ones of the same value from both ends."""
    constant = low == high
    before = constant & (low == low[0])
    after = (constant & (low == low[-1]))[::-1]
    start = int(np.argmin(before)) if not before.all() else len(low)
    stop = len(low) - (int(np.argmin(after)) if not after.all() else len(low))
    return start, max(start, stop)


def _shape(array: NDArray[np.generic]) -> Shape:
    k, j, i = array.shape
    return k, j, i
