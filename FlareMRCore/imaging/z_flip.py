"""Finding image stacks stored head first although their header says feet first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import nearest_axes
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.body_mask import otsu_threshold
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.imaging.orientation import orient_array


@dataclass(frozen=True, slots=True)
class ZFlipRule:
    """When an end of the stack is taken for the one with the lungs.

    Attributes:
        search_mm: how far from each end a usable slice is looked for (10 slices of 3 mm).
        min_area_mm2: smallest body section (100 pixels of 1.2 mm).
        max_share: largest share of the slice that the body may take.
        holes_ratio: how many times more holes the lower end must have.
    """

    search_mm: float = 30.0
    min_area_mm2: float = 144.0
    max_share: float = 0.9
    holes_ratio: float = 1.2


@dataclass(frozen=True, slots=True)
class ZFlip:
    """What the detector found.

    Attributes:
        flipped: the stack is upside down.
        doubtful: the ends do not differ enough, or one has no usable slice: have a look.
        holes_low_mm2: air and lung in the section at the end the header calls inferior; None
            without a usable slice.
        holes_high_mm2: the same at the superior end.
    """

    flipped: bool
    doubtful: bool
    holes_low_mm2: float | None
    holes_high_mm2: float | None


def detect_z_flip(volume: Volume, rule: ZFlipRule | None = None) -> ZFlip:
    """Whether the slices of an in-phase image run against its header.

    Lungs are holes in the body's section. The first slice from each end whose bright part is
    neither tiny nor the whole slice is looked at; the image counts as flipped only if both exist
    and the inferior one has clearly more holes in the box around its bright part.

    Raises:
        InputError: the image is constant.

    Source: He et al., FLARE24 task 3, published code; the ratio and the answer without a usable
        slice are ours (there: any difference flips, and a missing slice is a crash).
    """
    rule = rule or ZFlipRule()
    array, geometry = orient_array(volume.array, volume.geometry, "SAR")
    bright = array > otsu_threshold(array)
    _, row_mm, column_mm = geometry.spacing_mm
    pixel_mm2 = row_mm * column_mm
    count = max(1, min(len(bright) // 2, round(rule.search_mm / geometry.spacing_mm[0])))
    low = _holes_mm2(bright[:count], pixel_mm2, rule)
    high = _holes_mm2(bright[::-1][:count], pixel_mm2, rule)
    if low is None or high is None:
        return ZFlip(False, True, low, high)
    flipped = low > rule.holes_ratio * high
    clear = flipped or high > rule.holes_ratio * low
    return ZFlip(flipped, not clear, low, high)


def flip_slices(volume: Volume) -> Volume:
    """`volume` with its slices in reverse order along the head-foot axis, on the same grid."""
    axis = _head_foot_axis(volume)
    return Volume(np.ascontiguousarray(np.flip(volume.array, axis)), volume.geometry)


def flip_label_slices(label_map: LabelMap) -> LabelMap:
    """`label_map` with its slices in reverse order along the head-foot axis, on the same grid."""
    array = np.ascontiguousarray(np.flip(label_map.array, _head_foot_axis(label_map)))
    return LabelMap(array, label_map.geometry, label_map.labels)


def _holes_mm2(slices: NDArray[np.bool_], pixel_mm2: float, rule: ZFlipRule) -> float | None:
    for section in slices:
        area = np.count_nonzero(section)
        if rule.min_area_mm2 < area * pixel_mm2 and area < rule.max_share * section.size:
            box = foreground_box(section[None])
            if box is not None:
                part = section[box.slices[1:]]
                return float(np.count_nonzero(~part) * pixel_mm2)
    return None


def _head_foot_axis(image: Volume | LabelMap) -> int:
    order, _ = nearest_axes(image.geometry.direction)
    return order.index(2)
