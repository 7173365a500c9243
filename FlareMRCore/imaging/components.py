"""Connected components of label arrays: keep, drop, count, and fill what they enclose."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.geometry import Box
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.cropping import foreground_box

LabelT = TypeVar("LabelT", bound=np.integer)


@dataclass(frozen=True, slots=True)
class Components:
    """Components of all labels of an array; component 0 is background and empty.

    Attributes:
        box: where the foreground lies in the array; None if there is none.
        component: number of the component of each voxel of the box (k, j, i), from 1; 0 outside.
        size: voxels of each component, indexed by its number.
        value: label of each component, indexed by its number.
    """

    box: Box | None
    component: NDArray[np.unsignedinteger]
    size: NDArray[np.intp]
    value: NDArray[np.intp]

    def largest(self, value: int) -> int:
        """Largest component of a label (of equal ones the first); 0 if there is none."""
        sizes = np.where(self.value == value, self.size, 0)
        return int(sizes.argmax()) if sizes.any() else 0

    def voxels(self, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Flat indices (C order) of the foreground of an array of `shape`, and their components."""
        inside = np.nonzero(self.component)
        start = self.box.start if self.box is not None else (0, 0, 0)
        moved = tuple(n + a for n, a in zip(inside, start, strict=True))
        flat = np.ravel_multi_index(moved, shape).astype(np.intp, copy=False)
        return flat, self.component[inside].astype(np.intp)


def label_components(array: NDArray[np.integer]) -> Components:
    """Components (26-connected) of all labels of `array` (K, J, I) except 0, in one pass."""
    box = foreground_box(array)
    if box is None:
        zero = np.zeros(1, dtype=np.intp)
        return Components(None, np.zeros((0, 0, 0), dtype=np.uint16), zero, zero)
    # cc3d refuses read-only arrays, which those of label maps are.
    part = np.require(array[box.slices], requirements=["C", "W"])
    labeled, count = cc3d.connected_components(part, connectivity=26, return_N=True)
    size = np.zeros(count + 1, dtype=np.intp)
    value = np.zeros(count + 1, dtype=np.intp)
    # Slice by slice: numpy turns indices into eight bytes per voxel.
    for numbers, labels in zip(labeled, part, strict=True):
        inside = labels != 0
        found, first, counts = np.unique(numbers[inside], return_index=True, return_counts=True)
        size[found] += counts
        value[found] = labels[inside][first]
    return Components(box, labeled, size, value)


def keep_largest_components(array: NDArray[LabelT], values: Collection[int]) -> NDArray[LabelT]:
    """`array` (K, J, I) where each label of `values` keeps only its largest component.

    Other labels stay as they are. Components are 26-connected. A new array.
    """
    found = label_components(array)
    keep = ~np.isin(found.value, list(values))
    for value in values:
        keep[found.largest(value)] = True
    return _without(array, found, ~keep)


def remove_small_components(
    label_map: LabelMap, *, min_volume_ml: float, keep_largest: bool = True
) -> LabelMap:
    """`label_map` without components smaller than `min_volume_ml`.

    With `keep_largest` the largest component of a label stays however small it is, so that no
    organ vanishes altogether.
    """
    found = label_components(label_map.array)
    voxel_ml = label_map.geometry.voxel_volume_mm3 / 1000
    drop = found.size * voxel_ml < min_volume_ml * (1 - 1e-9)  # as large is not smaller
    if keep_largest:
        drop[[found.largest(int(value)) for value in np.unique(found.value)]] = False
    array = _without(label_map.array, found, drop)
    return LabelMap(array, label_map.geometry, label_map.labels)


def component_counts(array: NDArray[np.integer]) -> dict[int, int]:
    """Number of 26-connected components of each label of `array` except 0; empty if there is none.

    >>> component_counts(np.array([[[1, 0, 1, 2]]]))
    {1: 2, 2: 1}
    """
    found = label_components(array)
    values, counts = np.unique(found.value[1:], return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def fill_holes(mask: NDArray[np.bool_], *, axis: int | None = None) -> NDArray[np.bool_]:
    """`mask` (K, J, I) with its enclosed holes filled; a new array.

    Args:
        mask: any boolean array with three axes.
        axis: None fills cavities closed in 3-D; 0, 1 or 2 fills holes closed within each slice
            perpendicular to that axis.
    """
    structure = ndimage.generate_binary_structure(3, 1)
    if axis is not None:
        structure = structure & ~_neighbors_along(axis)
    outside, count = ndimage.label(~mask, structure=structure)
    is_open = np.zeros(count + 1, dtype=np.bool_)
    for edge_axis in range(3):
        if edge_axis != axis:
            is_open[np.take(outside, [0, -1], axis=edge_axis)] = True
    is_open[0] = False
    filled: NDArray[np.bool_] = ~is_open[outside]
    return filled


def _without(array: NDArray[LabelT], found: Components, drop: NDArray[np.bool_]) -> NDArray[LabelT]:
    result = np.array(array, order="C")
    if found.box is not None and drop[1:].any():
        inside = result[found.box.slices]
        drop = np.concatenate([[False], drop[1:]])  # background stays what it is
        for labels, numbers in zip(inside, found.component, strict=True):
            labels[drop[numbers]] = 0
    return result


def _neighbors_along(axis: int) -> NDArray[np.bool_]:
    """The two neighbors along `axis` in a 3x3x3 structure."""
    structure = np.zeros((3, 3, 3), dtype=np.bool_)
    structure[tuple(slice(None) if n == axis else 1 for n in range(3))] = True
    structure[1, 1, 1] = False
    return structure
