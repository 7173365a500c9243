"""Which pseudo-labels look like an abdomen: organs present, of a size, and in one piece."""

from collections.abc import Collection
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import fill_holes
from FlareMRCore.imaging.morphology import closing
from FlareMRCore.imaging.orientation import orient_array
from FlareMRCore.imaging.pseudo_label_filters import Objection, Verdict

VOXEL_MM3 = 1.2 * 1.2 * 3.0
"""The voxel in which the source counts."""
ADRENALS = ("right_adrenal_gland", "left_adrenal_gland")
GUT = ("esophagus", "stomach", "duodenum")
CLOSED = ("liver", "spleen", "stomach")
VEIN = "inferior_vena_cava"

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AnatomyRule:
    """Limits of the anatomy-aware filter.

    Attributes:
        min_organ_mm3: smallest volume of every organ but the adrenals (512 voxels).
        max_second_mm3: a second component must be smaller (64 voxels).
        min_adrenal_mm: shortest extent of an adrenal from front to back (15 voxels); None does
            not test it, as in the paper.
        closing_mm: ellipsoid, along (S, A, R), that closes liver, spleen and stomach before
            components are counted (8 voxels); None counts in the label as it is.
        vein_gap_mm: gaps along the inferior vena cava up to this length are closed (8 slices).
    """

    min_organ_mm3: float = 512 * VOXEL_MM3
    max_second_mm3: float = 64 * VOXEL_MM3
    min_adrenal_mm: float | None = None
    closing_mm: Triple | None = (24.0, 9.6, 9.6)
    vein_gap_mm: float = 24.0


def check_anatomy(label_map: LabelMap, rule: AnatomyRule | None = None) -> Verdict:
    """Verdict of the anatomy-aware filter; the label map itself is never changed.

    Every organ must be there and large enough, and no organ, nor esophagus, stomach and duodenum
    together, may have a second component (connected by faces) of relevant size.

    Source: He et al., FLARE24 task 3. In voxels of 4.32 mm3 there; the shape of the closing is
        our reading.
    """
    rule = rule or AnatomyRule()
    array, geometry = orient_array(label_map.array, label_map.geometry, "SAR")
    ids = {label.id: label.value for label in label_map.labels}
    cleaned = _cleaned(array, geometry.spacing_mm, ids, rule)
    voxel_mm3 = geometry.voxel_volume_mm3
    found: list[Objection] = []
    second = _second_sizes(cleaned)
    for organ, value in ids.items():
        inside = array == value
        volume = float(np.count_nonzero(inside) * voxel_mm3)
        if volume == 0:
            found.append(Objection("missing", organ, 0.0, rule.min_organ_mm3))
            continue
        if organ not in ADRENALS and volume < rule.min_organ_mm3 * (1 - 1e-9):
            found.append(Objection("small", organ, volume, rule.min_organ_mm3))
        if organ in ADRENALS and rule.min_adrenal_mm is not None:
            rows = np.flatnonzero(inside.any(axis=(0, 2)))
            extent = float((rows[-1] - rows[0] + 1) * geometry.spacing_mm[1])
            if extent < rule.min_adrenal_mm * (1 - 1e-9):
                found.append(Objection("short", organ, extent, rule.min_adrenal_mm))
        size = second.get(value, 0) * voxel_mm3
        if size >= rule.max_second_mm3 * (1 - 1e-9):
            found.append(Objection("scattered", organ, size, rule.max_second_mm3))
    gut = np.isin(cleaned, [ids[name] for name in GUT if name in ids]).astype(np.uint8)
    size = _second_sizes(gut).get(1, 0) * voxel_mm3
    if size >= rule.max_second_mm3 * (1 - 1e-9):
        found.append(Objection("scattered", "+".join(GUT), size, rule.max_second_mm3))
    return Verdict(tuple(found))


def _cleaned(array: Labels, spacing_mm: Triple, ids: dict[str, int], rule: AnatomyRule) -> Labels:
    """A copy with gaps closed and axial holes filled; only background is written over."""
    result = np.array(array, order="C")
    if rule.closing_mm is not None:
        for organ in CLOSED:
            mask = array == ids.get(organ, 255)
            if mask.any():
                closed = fill_holes(closing(mask, rule.closing_mm, spacing_mm), axis=0)
                result[closed & (result == 0)] = ids[organ]
    vein = array == ids.get(VEIN, 255)
    if vein.any() and rule.vein_gap_mm > 0:
        # A segment of this length is an ellipsoid of half of it.
        closed = closing(vein, (rule.vein_gap_mm / 2, 0.0, 0.0), spacing_mm)
        result[closed & (result == 0)] = ids[VEIN]
    return result


def _second_sizes(array: Labels) -> dict[int, int]:
    """Voxels of the second-largest component of each label that has one."""
    labeled = cc3d.connected_components(np.ascontiguousarray(array), connectivity=6)
    sizes = np.bincount(labeled.ravel())
    values = np.zeros(len(sizes), dtype=np.intp)
    values[labeled.ravel()] = array.ravel()
    return {int(value): int(np.sort(sizes[values == value])[-2]) for value in _repeated(values[1:])}


def _repeated(values: Collection[int]) -> list[int]:
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return [int(value) for value, count in zip(found, counts, strict=True) if value and count > 1]
