"""Whether a label of one MR sequence fits another: the kidneys, which every sequence shows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError, InputError, UsageError
from FlareMRCore.imaging.body_mask import otsu_threshold
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.imaging.morphology import (
    Element,
    closing,
    dilate,
    erode,
    largest_component,
    largest_component_by_slice,
    opening,
)
from FlareMRCore.imaging.orientation import orient_array

BoolArray = NDArray[np.bool_]
STEP_MM: Triple = (3.0, 1.2, 1.2)
"""One voxel of the source along (S, A, R): its steps to face neighbors add up to these radii."""
STEPS: Element = "octahedron"
"""What several steps to face neighbors make; an ellipsoid would let muscle and fat in."""
KIDNEYS = ("right_kidney", "left_kidney")
AVOIDED = ("liver", "spleen", "duodenum", "right_adrenal_gland", "left_adrenal_gland")
SMOOTH = 0.001


@dataclass(frozen=True, slots=True)
class SequenceRule:
    """How the kidneys look in a sequence and what is asked of them.

    Attributes:
        dark: the kidneys are darker than what surrounds them.
        volumetric: the largest component is taken in 3-D, and not slice by slice.
        both: Dice that both kidneys must reach.
        one: Dice that at least one kidney must reach.
    """

    dark: bool = False
    volumetric: bool = False
    both: float = 0.0
    one: float = 0.85


SEQUENCE_RULES: Mapping[str, SequenceRule] = {
    "A": SequenceRule(volumetric=True),
    "V": SequenceRule(),
    "DELAY": SequenceRule(),
    "T2": SequenceRule(both=0.8),
    "DWI": SequenceRule(both=0.8),
    "IP": SequenceRule(dark=True, both=0.8),
}
"""Rules of the sequences that are tested."""


@dataclass(frozen=True, slots=True)
class KidneyCheck:
    """Dice of the kidneys found in the image and those of the label; None if it has none."""

    right_dice: float | None
    left_dice: float | None
    accepted: bool


def check_kidneys(
    image: Volume, label_map: LabelMap, sequence: str, rule: SequenceRule | None = None
) -> KidneyCheck:
    """Whether `label_map`, made for another sequence, fits `image`.

    The kidneys are looked for in the image around where the label has them, and compared.

    Args:
        image: registered image of `sequence`, on the grid of `label_map`.
        label_map: organs of the sequence that was labeled.
        sequence: one of `SEQUENCE_RULES`.
        rule: how its kidneys look and what is asked of them; None for the published rule.

    Raises:
        UsageError: the sequence has no rule.
        GeometryError: another grid.

    Source: He et al., FLARE24 task 3, label transfer. There steps are voxels of 1.2 x 1.2 x 3 mm
        and components hang together by faces; here they are octahedra of the same size.
    """
    if sequence not in SEQUENCE_RULES:
        raise UsageError(
            f"The kidneys of sequence '{sequence}' are not tested. Known: "
            f"{', '.join(SEQUENCE_RULES)}.",
            code="usage.sequence",
        )
    if not image.geometry.coincides(label_map.geometry, tolerance_mm=0.1):
        raise GeometryError(
            f"The image {image.geometry.shape} and the labels {label_map.geometry.shape} do not "
            "share a grid.",
            code="geometry.mismatch",
        )
    rule = rule or SEQUENCE_RULES[sequence]
    array, geometry = orient_array(image.array, image.geometry, "SAR")
    labels, _ = orient_array(label_map.array, label_map.geometry, "SAR")
    ids = {label.id: label.value for label in label_map.labels}
    avoided = np.isin(labels, [ids[name] for name in AVOIDED if name in ids])
    right, left = (
        _kidney_dice(array, labels == ids.get(name, 255), avoided, geometry.spacing_mm, rule=rule)
        for name in KIDNEYS
    )
    scores = [0.0 if score is None else score for score in (right, left)]
    accepted = min(scores) >= rule.both and max(scores) >= rule.one
    return KidneyCheck(right, left, accepted)


def _kidney_dice(
    image: NDArray[np.float32],
    kidney: BoolArray,
    avoided: BoolArray,
    spacing_mm: Triple,
    *,
    rule: SequenceRule,
) -> float | None:
    box = foreground_box(kidney)
    if box is None:
        return None
    # Room for the region (6 steps) and for growing out of it.
    box = box.padded(_margin(10, spacing_mm), within=_shape(kidney))
    part, true, avoid = image[box.slices], kidney[box.slices], avoided[box.slices]
    region = dilate(true, _steps(6), spacing_mm, STEPS) & ~avoid
    try:
        threshold = otsu_threshold(part[region])
    except InputError:  # a flat or padded region shows no kidney
        return 0.0
    found = _candidate(part, region, threshold, spacing_mm, rule=rule) & ~avoid
    found = largest_component(found)
    common = np.count_nonzero(found & true)
    total = np.count_nonzero(found) + np.count_nonzero(true)
    return float((2 * common + SMOOTH) / (total + SMOOTH))


def _candidate(
    image: NDArray[np.float32],
    region: BoolArray,
    threshold: float,
    spacing_mm: Triple,
    *,
    rule: SequenceRule,
) -> BoolArray:
    if rule.dark:
        found = opening(region & (image <= threshold) & (image > 0), _steps(2), spacing_mm, STEPS)
    else:
        found = region & (image > threshold)
    step = STEP_MM if rule.volumetric else (0.0, *STEP_MM[1:])
    largest = largest_component if rule.volumetric else largest_component_by_slice
    found = dilate(largest(erode(found, step, spacing_mm, STEPS)), step, spacing_mm, STEPS)
    around = dilate(found, _steps(2), spacing_mm, STEPS)
    if around.any():
        mean = image[around].mean()
        alike = (image < mean) & (image > 0) if rule.dark else image > mean
        found |= around & alike
    if rule.volumetric:
        return closing(found, _steps(4), spacing_mm, STEPS)
    opened = opening(found, _steps(1), spacing_mm, STEPS)
    return closing(opened, _steps(2), spacing_mm, STEPS)


def _steps(count: int) -> Triple:
    k, j, i = STEP_MM
    return count * k, count * j, count * i


def _margin(count: int, spacing_mm: Triple) -> tuple[int, int, int]:
    k, j, i = (int(np.ceil(r / s)) for r, s in zip(_steps(count), spacing_mm, strict=True))
    return k, j, i


def _shape(mask: BoolArray) -> tuple[int, int, int]:
    k, j, i = mask.shape
    return k, j, i
