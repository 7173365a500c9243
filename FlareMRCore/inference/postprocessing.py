"""From raw labels to the result: pieces, anatomical rules, and one line about each organ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import LabelTable, organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.anatomy import apply_anatomy_rules
from FlareMRCore.imaging.components import keep_largest_components
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.inference.plausibility import organ_flags, values_at_border
from FlareMRCore.inference.report import OrganResult


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """Labels after post-processing.

    Attributes:
        labels: (K, J, I) uint8 with axes S, A, R.
        volumes_ml: volume of every organ, by label value; 0 for missing ones.
        fragment_shares: share of each organ outside its largest piece before, by label value.
        notes: what post-processing did that the user should know.
    """

    labels: NDArray[np.uint8]
    volumes_ml: Mapping[int, float]
    fragment_shares: Mapping[int, float]
    notes: tuple[str, ...]


def clean(
    labels: NDArray[np.uint8],
    geometry: Geometry,
    *,
    keep_largest: bool,
    anatomy_rules: bool,
    min_extent_mm: float = 0.0,
) -> Cleaned:
    """`labels` without stray pieces; a result with organs never becomes one without.

    Args:
        labels: (K, J, I) with axes nearest to S, A, R; not changed.
        geometry: their grid.
        keep_largest: drop all but the largest 26-connected piece of each organ.
        anatomy_rules: apply the anatomical rules.
        min_extent_mm: apply them only to images longer than this from foot to head.
    """
    values = organ_table().values
    box = foreground_box(labels)
    if box is None:
        return Cleaned(labels, dict.fromkeys(values, 0.0), dict.fromkeys(values, 0.0), ())
    inside = labels[box.slices]
    raw_counts = _counts(inside)
    largest = keep_largest_components(inside, values)
    largest_counts = _counts(largest)
    shares = {
        value: 1 - largest_counts[value] / raw_counts[value] if raw_counts[value] else 0.0
        for value in values
    }
    result = np.zeros_like(labels)
    result[box.slices] = largest if keep_largest else inside
    notes: list[str] = []
    if anatomy_rules:
        result, notes = _with_rules(result, geometry, min_extent_mm)
    counts = _counts(result[box.slices])
    voxel_ml = geometry.voxel_volume_mm3 / 1000
    volumes = {value: float(counts[value] * voxel_ml) for value in values}
    return Cleaned(result, volumes, shares, tuple(notes))


def organ_results(
    cleaned: Cleaned,
    image: Volume,
    wanted: LabelTable,
    *,
    confidences: Mapping[int, float | None],
    agreements: Mapping[int, float | None],
) -> tuple[OrganResult, ...]:
    """One entry per wanted organ.

    Args:
        cleaned: the labels, on the grid of `image`.
        image: intensities.
        wanted: organs to tell about.
        confidences: mean probability by label value.
        agreements: agreement between views by label value.
    """
    at_border = values_at_border(cleaned.labels)
    means = _mean_intensities(cleaned.labels, image.array)
    results = []
    for label in wanted:
        value, volume_ml = label.value, cleaned.volumes_ml.get(label.value, 0.0)
        flags = organ_flags(
            label,
            volume_ml,
            at_border=value in at_border,
            fragment_share=cleaned.fragment_shares.get(value, 0.0),
        )
        present = volume_ml > 0
        results.append(
            OrganResult(
                id=label.id,
                name=label.name,
                value=value,
                volume_ml=round(volume_ml, 3),
                mean_intensity=means.get(value),
                confidence=_rounded(confidences.get(value)) if present else None,
                agreement=_rounded(agreements.get(value)),
                flags=flags,
            )
        )
    return tuple(results)


def _counts(labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.bincount(labels.ravel(), minlength=256)


def _mean_intensities(labels: NDArray[np.uint8], array: NDArray[np.float32]) -> dict[int, float]:
    """Mean of `array` inside each label that occurs."""
    box = foreground_box(labels)
    if box is None:
        return {}
    inside = labels[box.slices]
    where = inside > 0
    values = inside[where]
    counts = np.bincount(values, minlength=256)
    sums = np.bincount(values, weights=array[box.slices][where], minlength=256)
    return {int(v): float(sums[v] / counts[v]) for v in np.flatnonzero(counts)}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def _with_rules(
    labels: NDArray[np.uint8], geometry: Geometry, min_extent_mm: float
) -> tuple[NDArray[np.uint8], list[str]]:
    """Labels after the anatomical rules, and what they removed altogether.

    Unchanged if nothing at all would be left.
    """
    table = organ_table()
    whole = LabelMap(labels, geometry, table)
    kept = apply_anatomy_rules(whole, min_extent_mm=min_extent_mm).array
    if not kept.any() and labels.any():
        return labels, ["The anatomical rules would remove everything; they were not applied."]
    before, after = _counts(labels), _counts(kept)
    gone = [label.name for label in table if before[label.value] and not after[label.value]]
    return kept, [f"The anatomical rules removed {', '.join(gone)}."] if gone else []
