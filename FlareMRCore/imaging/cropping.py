"""Cutting a box out of an array, and putting it back."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Box, Geometry, Shape
from FlareMRCore.errors import UsageError

ScalarT = TypeVar("ScalarT", bound=np.generic)


def foreground_box(mask: NDArray[np.generic]) -> Box | None:
    """Smallest box around the voxels of `mask` (K, J, I) that are not zero; None if there are none.

    >>> foreground_box(np.eye(3)[None])
    Box(start=(0, 0, 0), stop=(1, 3, 3))
    """
    filled = np.asarray(mask, dtype=np.bool_)
    in_slice: NDArray[np.bool_] = np.any(filled, axis=0)
    profiles = (np.any(filled, axis=(1, 2)), np.any(in_slice, axis=1), np.any(in_slice, axis=0))
    found = [np.flatnonzero(profile) for profile in profiles]
    if not found[0].size:
        return None
    k, j, i = found
    return Box((int(k[0]), int(j[0]), int(i[0])), (int(k[-1]) + 1, int(j[-1]) + 1, int(i[-1]) + 1))


def crop_to_box(array: NDArray[ScalarT], box: Box, *, fill: float = 0) -> NDArray[ScalarT]:
    """The part of `array` (K, J, I) in `box`; `fill` where the box reaches outside.

    A box inside the array gives a view, any other a new array.
    """
    inside, place = _overlap(box, array.shape)
    if inside.shape == box.shape:
        return array[inside.slices]
    result = np.full(box.shape, fill, dtype=array.dtype)
    result[place] = array[inside.slices]
    return result


def paste_box(
    patch: NDArray[ScalarT], box: Box, *, shape: Shape, fill: float = 0
) -> NDArray[ScalarT]:
    """New array of `shape` with `patch` at `box` and `fill` elsewhere; the inverse of cropping.

    Parts of the box outside of the array are dropped.

    Raises:
        UsageError: the patch has not the shape of the box.
    """
    if patch.shape != box.shape:
        raise UsageError(
            f"The patch has shape {patch.shape}, the box {box.shape}.", code="usage.box"
        )
    inside, place = _overlap(box, shape)
    result = np.full(shape, fill, dtype=patch.dtype)
    result[inside.slices] = patch[place]
    return result


def margin_vox(margin_mm: float, geometry: Geometry) -> Shape:
    """Voxels along (K, J, I) that make up at least `margin_mm`."""
    k, j, i = (math.ceil(margin_mm / spacing - 1e-6) for spacing in geometry.spacing_mm)
    return k, j, i


def _overlap(box: Box, shape: tuple[int, ...]) -> tuple[Box, tuple[slice, slice, slice]]:
    """The part of `box` inside an array of `shape`, and where it lies in the box."""
    start = [min(max(a, 0), n) for a, n in zip(box.start, shape, strict=True)]
    stop = [max(min(b, n), a) for b, n, a in zip(box.stop, shape, start, strict=True)]
    inside = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    k, j, i = (
        slice(a - origin, b - origin)
        for a, b, origin in zip(inside.start, inside.stop, box.start, strict=True)
    )
    return inside, (k, j, i)
