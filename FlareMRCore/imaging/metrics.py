"""Scores of a segmentation against a reference, in two conventions with different numbers.

``"standard"``: an organ missing in both label maps has no score (NaN), one missing in either has
overlap 0; every slice counts.

``"flare"``: exactly the evaluation of the FLARE 2022 to 2024 challenges. Missing in both scores 1.
Aorta, vena cava and esophagus count only between the lowest and highest slice of the reference,
the highest one left out; slices are those of the file as stored, so label maps must not have been
reoriented. The surface Dice is 0 where the Dice is below 0.2. Voxel sizes are those of the NIfTI
header in float32. Scores are rounded to 4 decimals.

Source: T2andT3_FLARE24_DSC_NSD_Eval.py of the FLARE24 challenge.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Geometry, Triple
from FlareMRCore.data.labels import Label
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import GeometryError, UsageError
from FlareMRCore.imaging.surface_distance import hausdorff_95, surface_dice, surface_distances

BoolArray = NDArray[np.bool_]
Mode = Literal["standard", "flare"]
MODES: tuple[Mode, ...] = ("standard", "flare")
SLAB_ORGANS = frozenset({"aorta", "inferior_vena_cava", "esophagus"})
"""Organs of which the references show only a part, by FLARE's rule."""
LOWEST_DICE = 0.2
"""Dice below which FLARE sets the surface Dice to 0."""
GRID_TOLERANCE_MM = 0.01
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class OrganScore:
    """Scores of one organ in one case.

    Attributes:
        organ: label id, e.g. ``"right_kidney"``.
        value: label value.
        mode: convention of the scores, ``"standard"`` or ``"flare"``.
        dice: 0 to 1; NaN if undefined.
        surface_dice: NSD at the organ's tolerance, 0 to 1; NaN if undefined.
        tolerance_mm: that tolerance.
        hausdorff_95_mm: NaN if a mask is empty, and in mode ``"flare"``, which has none.
        reference_ml: volume in the reference, whole image.
        prediction_ml: volume in the prediction, whole image.
        flags: any of ``"absent"`` (in neither), ``"missing"`` (not in the prediction),
            ``"unexpected"`` (not in the reference), ``"low-overlap"`` (surface Dice set to 0),
            ``"one-slice"`` (the reference's only slice was kept, where the original fails).
    """

    organ: str
    value: int
    mode: Mode
    dice: float
    surface_dice: float
    tolerance_mm: float
    hausdorff_95_mm: float
    reference_ml: float
    prediction_ml: float
    flags: tuple[str, ...] = ()


def dice(reference: BoolArray, prediction: BoolArray) -> float:
    """Dice similarity coefficient of two masks, 0 to 1; NaN if both are empty."""
    total = np.count_nonzero(reference) + np.count_nonzero(prediction)
    return float(2 * np.count_nonzero(reference & prediction) / total) if total else NAN


def volume_ml(mask: BoolArray, geometry: Geometry) -> float:
    """Volume of `mask` in milliliters."""
    return int(np.count_nonzero(mask)) * geometry.voxel_volume_mm3 / 1000


def score_case(
    reference: LabelMap, prediction: LabelMap, *, mode: Mode = "standard"
) -> tuple[OrganScore, ...]:
    """Scores of every organ of the reference's label table, in its order.

    Args:
        reference: label map as read from its file.
        prediction: label map on the same grid, with the same label values.
        mode: ``"standard"`` or ``"flare"``; see this module's description.

    Raises:
        GeometryError: the grids differ.
        UsageError: unknown mode.
    """
    if mode not in MODES:
        raise UsageError(
            f"There is no mode '{mode}'. Known: {', '.join(MODES)}.", code="usage.mode"
        )
    if not reference.geometry.coincides(prediction.geometry, tolerance_mm=GRID_TOLERANCE_MM):
        raise GeometryError(
            f"Reference and prediction lie on different grids: {reference.geometry} and "
            f"{prediction.geometry}.",
            code="geometry.mismatch",
            hint="Resample the prediction to the grid of the reference.",
        )
    return tuple(_score_organ(label, reference, prediction, mode) for label in reference.labels)


def _score_organ(label: Label, reference: LabelMap, prediction: LabelMap, mode: Mode) -> OrganScore:
    masks = reference.array == label.value, prediction.array == label.value
    flags = _emptiness(*masks)
    overlap, surface, hausdorff = NAN, NAN, NAN
    if flags:
        overlap = surface = (NAN if mode == "standard" else 1.0) if flags == ("absent",) else 0.0
    elif mode == "standard":
        distances = surface_distances(*masks, spacing_mm=reference.geometry.spacing_mm)
        overlap = dice(*masks)
        surface = surface_dice(distances, tolerance_mm=label.tolerance_mm)
        hausdorff = hausdorff_95(distances)
    else:
        overlap, surface, flags = _flare(*masks, label=label, geometry=reference.geometry)
    return OrganScore(
        organ=label.id,
        value=label.value,
        mode=mode,
        dice=overlap,
        surface_dice=surface,
        tolerance_mm=label.tolerance_mm,
        hausdorff_95_mm=hausdorff,
        reference_ml=volume_ml(masks[0], reference.geometry),
        prediction_ml=volume_ml(masks[1], reference.geometry),
        flags=flags,
    )


def _emptiness(reference: BoolArray, prediction: BoolArray) -> tuple[str, ...]:
    in_reference, in_prediction = bool(reference.any()), bool(prediction.any())
    if in_reference:
        return () if in_prediction else ("missing",)
    return ("unexpected",) if in_prediction else ("absent",)


def _flare(
    reference: BoolArray, prediction: BoolArray, *, label: Label, geometry: Geometry
) -> tuple[float, float, tuple[str, ...]]:
    """Dice, surface Dice and flags of an organ that is in both masks."""
    flags: tuple[str, ...] = ()
    if label.id in SLAB_ORGANS:
        slices = np.flatnonzero(reference.any(axis=(1, 2)))
        low, high = int(slices[0]), int(slices[-1])
        if low == high:
            high, flags = low + 1, ("one-slice",)
        reference, prediction = reference[low:high], prediction[low:high]
    overlap = dice(reference, prediction)
    if overlap < LOWEST_DICE:
        return round(overlap, 4), 0.0, (*flags, "low-overlap")
    distances = surface_distances(reference, prediction, spacing_mm=_header_spacing(geometry))
    return (
        round(overlap, 4),
        round(surface_dice(distances, tolerance_mm=label.tolerance_mm), 4),
        flags,
    )


def _header_spacing(geometry: Geometry) -> Triple:
    """Spacing as a NIfTI header holds it; decides whether 5 x 0.4 mm is within 2 mm."""
    k, j, i = (float(np.float32(spacing)) for spacing in geometry.spacing_mm)
    return k, j, i
