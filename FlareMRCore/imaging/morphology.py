"""Growing and shrinking masks by millimeters, with an ellipsoid or an octahedron as element.

A radius has one number for each array axis (K, J, I). Radii that reach one voxel exactly make
the usual step to the six face neighbors; an axis with radius 0 is left alone, slice by slice.
Several such steps make an octahedron, which holds a third of the ellipsoid of the same radii.
"""

from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.geometry import Triple

BoolArray = NDArray[np.bool_]
Element = Literal["ellipsoid", "octahedron"]
SLACK = 1e-5
NO_REACH_MM = 1e-6
FAR = 1e6
UNREACHED = 1e3
"""Steps of so many radii are never taken: an axis of radius 0."""


def dilate(
    mask: BoolArray, radius_mm: Triple, spacing_mm: Triple, element: Element = "ellipsoid"
) -> BoolArray:
    """`mask` (K, J, I) grown by the element; a new array, empty if `mask` is."""
    if not mask.any():
        return mask.copy()
    return _distance(~mask, radius_mm, spacing_mm, element) <= 1 + SLACK


def erode(
    mask: BoolArray, radius_mm: Triple, spacing_mm: Triple, element: Element = "ellipsoid"
) -> BoolArray:
    """`mask` shrunk by the element; what lies outside of the array counts as mask."""
    if mask.all():
        return mask.copy()
    return _distance(mask, radius_mm, spacing_mm, element) > 1 + SLACK


def opening(
    mask: BoolArray, radius_mm: Triple, spacing_mm: Triple, element: Element = "ellipsoid"
) -> BoolArray:
    """`mask` without the parts into which the element does not fit."""
    eroded = erode(mask, radius_mm, spacing_mm, element)
    return dilate(eroded, radius_mm, spacing_mm, element)


def closing(
    mask: BoolArray, radius_mm: Triple, spacing_mm: Triple, element: Element = "ellipsoid"
) -> BoolArray:
    """`mask` with the gaps filled into which the element does not fit."""
    width = [int(np.ceil(r / s)) + 1 for r, s in zip(radius_mm, spacing_mm, strict=True)]
    padded = np.pad(mask, [(w, w) for w in width])
    grown = dilate(padded, radius_mm, spacing_mm, element)
    closed = erode(grown, radius_mm, spacing_mm, element)
    return closed[tuple(slice(w, -w) for w in width)]


def largest_component(mask: BoolArray) -> BoolArray:
    """The largest part of `mask` that hangs together by faces; empty if `mask` is."""
    labeled = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=6)
    sizes = np.bincount(labeled.ravel())
    sizes[0] = 0
    return labeled == sizes.argmax() if sizes.any() else np.zeros_like(mask)


def largest_component_by_slice(mask: BoolArray) -> BoolArray:
    """In each slice along K, the largest part of `mask` that hangs together by edges of pixels."""
    structure = ndimage.generate_binary_structure(3, 1)
    structure[0], structure[2] = False, False
    labeled, count = ndimage.label(mask, structure=structure)
    keep = np.zeros(count + 1, dtype=np.bool_)
    for part in labeled:
        sizes = np.bincount(part.ravel())
        sizes[0] = 0
        keep[sizes.argmax()] = True
    keep[0] = False
    chosen: BoolArray = keep[labeled]
    return chosen


def _distance(
    mask: BoolArray, radius_mm: Triple, spacing_mm: Triple, element: Element
) -> NDArray[np.floating]:
    """Distance to the nearest voxel outside of `mask`, in radii."""
    steps = [s / max(r, NO_REACH_MM) for s, r in zip(spacing_mm, radius_mm, strict=True)]
    if element == "ellipsoid":
        distance: NDArray[np.float64] = ndimage.distance_transform_edt(mask, sampling=steps)
        return distance
    return _sum_of_steps(mask, steps)


def _sum_of_steps(mask: BoolArray, steps: list[float]) -> NDArray[np.floating]:
    """The same where the distances along the axes add up, each step weighted by its axis."""
    distance = np.where(mask, FAR, 0.0)
    for axis, step in enumerate(steps):
        if step >= UNREACHED:
            continue
        shape = [-1 if n == axis else 1 for n in range(3)]
        ramp = (np.arange(mask.shape[axis]) * step).reshape(shape)
        ahead = np.minimum.accumulate(distance - ramp, axis=axis) + ramp
        back = np.flip(np.minimum.accumulate(np.flip(distance + ramp, axis), axis=axis), axis)
        distance = np.minimum(ahead, back - ramp)
    return distance
