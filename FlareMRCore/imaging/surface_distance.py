"""Distances between the surfaces of two masks, and the scores that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from FlareMRCore.data.geometry import Box, Triple
from FlareMRCore.errors import GeometryError
from FlareMRCore.imaging.cropping import crop_to_box, foreground_box
from FlareMRCore.imaging.surface_elements import element_areas_mm2

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Surface elements of two masks: how large they are and how far from the other surface.

    Attributes:
        reference_mm: distance of each element of the reference to the prediction's surface;
            infinite if the prediction is empty.
        reference_mm2: areas of the same elements.
        prediction_mm: distance of each element of the prediction to the reference's surface.
        prediction_mm2: areas of the same elements.
    """

    reference_mm: FloatArray
    reference_mm2: FloatArray
    prediction_mm: FloatArray
    prediction_mm2: FloatArray


def surface_distances(
    reference: BoolArray, prediction: BoolArray, *, spacing_mm: Triple
) -> SurfaceDistances:
    """Areas and distances of the surface elements of two masks (K, J, I) on one grid.

    The outside of the array counts as background. An empty mask has no elements.

    Raises:
        GeometryError: the shapes differ.

    Source: Nikolov et al., J Med Internet Res 23 (2021) e26151; equal to surface-distance 0.1.
    """
    box = _joint_box(reference, prediction)
    if box is None:
        none = np.zeros(0)
        return SurfaceDistances(none, none, none, none)
    areas = element_areas_mm2(spacing_mm)
    first = neighbor_codes(crop_to_box(reference, box))
    second = neighbor_codes(crop_to_box(prediction, box))
    # In eight bits 255 + 1 is 0, so that one comparison finds all codes with a surface.
    on_first, on_second = first + np.uint8(1) > 1, second + np.uint8(1) > 1
    return SurfaceDistances(
        _distances(on_first, on_second, spacing_mm),
        areas[first[on_first]],
        _distances(on_second, on_first, spacing_mm),
        areas[second[on_second]],
    )


def surface_dice(distances: SurfaceDistances, *, tolerance_mm: float) -> float:
    """Share of both surfaces that lies within `tolerance_mm` of the other; NaN without surface."""
    total = distances.reference_mm2.sum() + distances.prediction_mm2.sum()
    if total == 0:
        return float("nan")
    near = distances.reference_mm2[distances.reference_mm <= tolerance_mm].sum()
    near += distances.prediction_mm2[distances.prediction_mm <= tolerance_mm].sum()
    return float(near / total)


def hausdorff_95(distances: SurfaceDistances) -> float:
    """Distance in mm within which 95 % of each surface's area lies; NaN if a mask is empty."""
    if not distances.reference_mm.size or not distances.prediction_mm.size:
        return float("nan")
    return max(
        _quantile(distances.reference_mm, distances.reference_mm2),
        _quantile(distances.prediction_mm, distances.prediction_mm2),
    )


def neighbor_codes(mask: BoolArray) -> NDArray[np.uint8]:
    """Code of each cell between eight voxels, one less than the mask's shape along each axis.

    See `surface_elements` for what the bits mean.
    """
    bits = mask.astype(np.uint8)
    bits = _joined(bits[:, :, :-1], bits[:, :, 1:], shift=1)
    bits = _joined(bits[:, :-1], bits[:, 1:], shift=2)
    return _joined(bits[:-1], bits[1:], shift=4)


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8], *, shift: int) -> NDArray[np.uint8]:
    joined: NDArray[np.uint8] = np.left_shift(high, shift, dtype=np.uint8)
    joined |= low
    return joined


def _joint_box(reference: BoolArray, prediction: BoolArray) -> Box | None:
    """Box around both masks with one voxel of margin; None if both are empty."""
    if reference.shape != prediction.shape:
        raise GeometryError(
            f"The masks have different shapes: {reference.shape} and {prediction.shape}.",
            code="geometry.mismatch",
            hint="Resample the prediction to the grid of the reference.",
        )
    boxes = [box for box in (foreground_box(reference), foreground_box(prediction)) if box]
    if not boxes:
        return None
    k, j, i = (min(starts) - 1 for starts in zip(*(box.start for box in boxes), strict=True))
    stop_k, stop_j, stop_i = (
        max(stops) + 1 for stops in zip(*(box.stop for box in boxes), strict=True)
    )
    return Box((k, j, i), (stop_k, stop_j, stop_i))


def _distances(surface: BoolArray, other: BoolArray, spacing_mm: Triple) -> FloatArray:
    """Distance in mm of each element of `surface` to the nearest of `other`.

    Elements on both surfaces, most of them for a good prediction, need no search; for the rest a
    tree is faster than a distance transform of the whole box.
    """
    points, targets = np.argwhere(surface), np.argwhere(other)
    if not len(targets):
        return np.full(len(points), np.inf)
    distances = np.zeros(len(points))
    apart = np.flatnonzero(~other[surface])
    if apart.size:
        tree = KDTree(targets * spacing_mm, leafsize=16, balanced_tree=False, compact_nodes=False)
        _, nearest = tree.query(points[apart] * spacing_mm)
        # From whole numbers of voxels, so that a distance of exactly the tolerance stays exact.
        steps = (points[apart] - targets[nearest]) * spacing_mm
        distances[apart] = np.sqrt((steps**2).sum(axis=1))
    return distances


def _quantile(distances_mm: FloatArray, areas_mm2: FloatArray) -> float:
    order = np.argsort(distances_mm, kind="stable")
    share = np.cumsum(areas_mm2[order])
    index = int(np.searchsorted(share / share[-1], 0.95))
    return float(distances_mm[order[min(index, len(order) - 1)]])
