"""What anatomy forbids: optional cleaning of a segmentation, and checks of its sides.

All rules work in patient space, so that any axis order and any slice thickness will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import nearest_axes
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import Components, label_components

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
LIVER_MARGIN_MM = 24.0
"""How far organs beside the liver may reach past its ends (8 slices of 3 mm in the source)."""
SPLEEN_MARGIN_MM = 30.0
"""How far the spleen may reach above the liver (10 slices of 3 mm in the source)."""
NEAR_LIVER = (
    "liver",
    "stomach",
    "gallbladder",
    "pancreas",
    "right_adrenal_gland",
    "left_adrenal_gland",
)
SIDES = (
    ("right_kidney", "left_kidney"),
    ("right_adrenal_gland", "left_adrenal_gland"),
    ("liver", "spleen"),
    ("inferior_vena_cava", "aorta"),
)
"""Pairs whose first organ lies on the patient's right of the second, situs inversus apart."""


@dataclass(frozen=True, slots=True)
class SideCheck:
    """Where two organs lie: the center of `right` is `gap_mm` to the right of that of `left`."""

    right: str
    left: str
    gap_mm: float

    @property
    def consistent(self) -> bool:
        """True if the organ named `right` lies on the right."""
        return self.gap_mm > 0


@dataclass(frozen=True, slots=True)
class _Foreground:
    """Foreground voxels: their flat indices, the component of each, and all components."""

    voxels: NDArray[np.intp]
    component: NDArray[np.intp]
    components: Components

    @staticmethod
    def of(label_map: LabelMap) -> _Foreground:
        """The foreground of a label map."""
        components = label_components(label_map.array)
        return _Foreground(*components.voxels(label_map.array.shape), components)

    def largest(self, value: int) -> int:
        """Largest component of a label; 0 if there is none."""
        return self.components.largest(value)


def apply_anatomy_rules(label_map: LabelMap, *, min_extent_mm: float = 0.0) -> LabelMap:
    """`label_map` without what lies where it cannot; unchanged if liver or left kidney is missing.

    In this order: liver, stomach, gallbladder, pancreas and adrenals end 24 mm past the ends of
    the largest liver component; each kidney keeps its largest component, the aorta the one with
    most voxels in that range; duodenum and pancreas do not reach above the liver; the spleen ends
    at the foot end of the left kidney and 30 mm above the liver. If the left kidney lies above the
    liver, the last two rules are left out: the image is probably upside down.

    Organs that the label table lacks are passed over. An image that is not longer than
    `min_extent_mm` from foot to head stays as it is: too little of the trunk is in view.

    Source: He et al., FLARE24 task 3, post-processing code (in 3 mm slices there, in mm here).
    """
    order, _ = nearest_axes(label_map.geometry.direction)
    if label_map.geometry.extent_mm[order.index(2)] <= min_extent_mm:
        return label_map
    ids = {label.id: label.value for label in label_map.labels}
    found = _Foreground.of(label_map)
    liver, kidney = (found.largest(ids.get(name, -1)) for name in ("liver", "left_kidney"))
    if not liver or not kidney:
        return label_map
    height_mm = _heights_mm(label_map, found.voxels)
    liver_mm = height_mm[found.component == liver]
    near = (height_mm >= liver_mm.min() - LIVER_MARGIN_MM) & (
        height_mm <= liver_mm.max() + LIVER_MARGIN_MM
    )
    drop = _of(found, ids, *NEAR_LIVER) & ~near
    for name in ("right_kidney", "left_kidney"):
        drop |= _of(found, ids, name) & (found.component != found.largest(ids.get(name, -1)))
    drop |= _of(found, ids, "aorta") & (found.component != _best(found, ids, near))
    drop |= _above_liver(found, ids, height_mm)
    array = np.array(label_map.array, order="C")
    array.reshape(-1)[found.voxels[drop]] = 0
    return LabelMap(array, label_map.geometry, label_map.labels)


def check_sides(label_map: LabelMap) -> tuple[SideCheck, ...]:
    """Checks of the pairs of `SIDES` of which both organs are in `label_map`.

    One pair on the wrong side is a mistake of the segmentation; if all are, suspect the image's
    orientation or situs inversus.
    """
    center = _centers_mm(label_map)
    return tuple(
        SideCheck(right, left, float(center[right][0] - center[left][0]))
        for right, left in SIDES
        if right in center and left in center
    )


def is_upside_down(label_map: LabelMap) -> bool | None:
    """True if the left kidney's center lies above the liver's; None if one of them is missing."""
    centers = _centers_mm(label_map)
    if "liver" not in centers or "left_kidney" not in centers:
        return None
    return bool(centers["left_kidney"][2] > centers["liver"][2])


def _above_liver(found: _Foreground, ids: Mapping[str, int], height_mm: FloatArray) -> BoolArray:
    """Duodenum and pancreas above the liver, and the spleen beyond kidney and liver."""
    liver_mm = height_mm[found.component == found.largest(ids["liver"])]
    kidney_mm = height_mm[found.component == found.largest(ids["left_kidney"])]
    if kidney_mm.mean() > liver_mm.mean():
        return np.zeros(len(found.voxels), dtype=np.bool_)
    top = liver_mm.max()
    beyond = (height_mm < kidney_mm.min()) | (height_mm > top + SPLEEN_MARGIN_MM)
    too_high = _of(found, ids, "duodenum", "pancreas") & (height_mm > top)
    too_low_or_high: BoolArray = too_high | (_of(found, ids, "spleen") & beyond)
    return too_low_or_high


def _of(found: _Foreground, ids: Mapping[str, int], *names: str) -> BoolArray:
    """Which foreground voxels belong to the named organs."""
    values = [ids[name] for name in names if name in ids]
    wanted = np.isin(found.components.value, values)
    belongs: BoolArray = np.take(wanted, found.component)
    return belongs


def _best(found: _Foreground, ids: Mapping[str, int], near: BoolArray) -> int:
    """The component of the aorta with most voxels at the liver's height, or else the largest."""
    inside = found.component[_of(found, ids, "aorta") & near]
    return int(np.bincount(inside).argmax()) if inside.size else found.largest(ids.get("aorta", -1))


def _heights_mm(label_map: LabelMap, voxels: NDArray[np.intp]) -> FloatArray:
    """Height above the patient's origin, toward the head, of voxels given by flat indices."""
    index = np.stack(np.unravel_index(voxels, label_map.array.shape), axis=-1)
    height = label_map.geometry.affine[2]
    above: FloatArray = index @ height[:3] + height[3]
    return above


def _centers_mm(label_map: LabelMap) -> dict[str, FloatArray]:
    """Center of mass in RAS mm of each organ that is there."""
    voxels = np.flatnonzero(label_map.array)
    index = np.unravel_index(voxels, label_map.array.shape)
    values = label_map.array.reshape(-1)[voxels]
    counts = np.bincount(values, minlength=256)
    sums = [np.bincount(values, weights=axis, minlength=256) for axis in index]
    means = np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None]
    world = label_map.geometry.index_to_world(means)
    return {label.id: world[label.value] for label in label_map.labels if counts[label.value]}
