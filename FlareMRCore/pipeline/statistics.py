"""Numbers of each organ, as table and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.volume import LabelMap, Volume

if TYPE_CHECKING:
    from FlareMRCore.inference.report import OrganResult

SLAB_VOX = 4_000_000
"""Voxels handled at a time, so that a large image needs little memory more."""


@dataclass(frozen=True, slots=True)
class OrganStatistics:
    """One organ of one case.

    Attributes:
        value: label value.
        volume_ml: volume in milliliters; 0 if missing.
        mean_intensity: mean of the image inside, in the image's unit; None if missing.
        sd_intensity: standard deviation of the image inside; None if missing.
        confidence: mean probability of the organ's voxels, 0 to 1; None if missing.
        agreement: mean Dice between the views that were averaged; None with one view.
        flags: what deserves a look, e.g. ``"touches-border"``.
    """

    value: int
    id: str
    name: str
    volume_ml: float
    mean_intensity: float | None
    sd_intensity: float | None
    confidence: float | None
    agreement: float | None
    flags: tuple[str, ...]


def organ_statistics(
    volume: Volume, label_map: LabelMap, organs: Sequence[OrganResult]
) -> tuple[OrganStatistics, ...]:
    """The engine's results with the spread of the intensities, both measured in `volume`."""
    counts, means, deviations = intensity_moments(volume.array, label_map.array)
    return tuple(
        OrganStatistics(
            value=organ.value,
            id=organ.id,
            name=organ.name,
            volume_ml=round(organ.volume_ml, 3),
            mean_intensity=_rounded(means[organ.value]) if counts[organ.value] else None,
            sd_intensity=_rounded(deviations[organ.value]) if counts[organ.value] else None,
            confidence=None if organ.confidence is None else round(organ.confidence, 4),
            agreement=None if organ.agreement is None else round(organ.agreement, 4),
            flags=tuple(organ.flags),
        )
        for organ in organs
    )


def intensity_moments(
    image: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean and standard deviation of the image for each label value, three arrays (256,).

    Mean and deviation are 0 where a value does not occur. Two passes, so that a large offset of
    the intensities costs no digits.
    """
    counts, sums, squares = np.zeros(256), np.zeros(256), np.zeros(256)
    slabs = _slabs(labels.shape)
    for slab in slabs:
        flat = labels[slab].ravel()
        counts += np.bincount(flat, minlength=256)
        sums += np.bincount(flat, weights=image[slab].ravel(), minlength=256)
    means = sums / np.maximum(counts, 1)
    for slab in slabs:
        flat = labels[slab].ravel()
        residuals = image[slab].ravel() - means[flat]
        squares += np.bincount(flat, weights=residuals**2, minlength=256)
    return counts, means, np.sqrt(squares / np.maximum(counts, 1))


def statistics_csv(cases: Mapping[str, Sequence[OrganStatistics]]) -> str:
    """Table with one line per case and organ; empty cells where nothing is known."""
    stream = io.StringIO()
    names = [field.name for field in fields(OrganStatistics)]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["case", *names])
    for case, organs in cases.items():
        for organ in organs:
            row = {**asdict(organ), "flags": ";".join(organ.flags)}
            writer.writerow([case, *(_cell(row[name]) for name in names)])
    return stream.getvalue()


def statistics_json(cases: Mapping[str, Sequence[OrganStatistics]]) -> str:
    """The same as JSON: cases with their organs."""
    content = [
        {"case": case, "organs": [asdict(organ) for organ in organs]}
        for case, organs in cases.items()
    ]
    return json.dumps({"cases": content}, indent=1, ensure_ascii=False) + "\n"


def _slabs(shape: tuple[int, ...]) -> list[slice]:
    step = max(1, SLAB_VOX // max(1, shape[1] * shape[2]))
    return [slice(start, start + step) for start in range(0, shape[0], step)]


def _rounded(value: float) -> float:
    """Six significant digits: intensities have no unit and any scale."""
    return float(f"{value:.6g}")


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
