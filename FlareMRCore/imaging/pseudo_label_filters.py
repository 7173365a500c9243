"""Which pseudo-labels to train on: verdicts with reasons, and the filter by organ volume."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from FlareMRCore.data.labels import LabelTable
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import UsageError

MissingPolicy = Literal["reject", "ignore", "inside-fov"]


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason against a pseudo-label.

    Attributes:
        rule: identifier of the rule, e.g. ``"volume-high"``.
        organ: id of the organ, or of several joined by "+".
        found: what was measured, in the rule's unit.
        limit: what would have been accepted.
    """

    rule: str
    organ: str
    found: float
    limit: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a case may be trained on, and everything that speaks against it."""

    objections: tuple[Objection, ...] = ()

    @property
    def accepted(self) -> bool:
        """True if no rule objects."""
        return not self.objections


@dataclass(frozen=True, slots=True)
class VolumeRatioRule:
    """Organ volumes must lie between `low` and `high` times their mean, both exclusive.

    Attributes:
        low: smallest ratio, exclusive.
        high: largest ratio, exclusive.
        missing: what an organ without a voxel means. ``"reject"``: the case is rejected.
            ``"ignore"``: nothing. ``"inside-fov"``: organs that touch the edge of the image are
            not tested, and a missing one is excused if any organ touches it.
        absent_counts_zero: an organ that a reference case lacks enters its mean as 0.
        organs: ids of those that are tested; empty for all.
    """

    low: float = 0.2
    high: float = 1.8
    missing: MissingPolicy = "reject"
    absent_counts_zero: bool = False
    organs: tuple[str, ...] = ()


def organ_volumes_mm3(
    label_map: LabelMap, annotated: Collection[str] | None = None
) -> dict[str, float]:
    """Volume of each organ by id, 0 if it has no voxel; only those `annotated`, if given."""
    counts = np.bincount(label_map.array.ravel(), minlength=256)
    voxel_mm3 = label_map.geometry.voxel_volume_mm3
    return {
        label.id: float(counts[label.value] * voxel_mm3)
        for label in label_map.labels
        if annotated is None or label.id in annotated
    }


def mean_volumes_mm3(
    cases: Iterable[Mapping[str, float]], *, absent_counts_zero: bool = False
) -> dict[str, float]:
    """Mean volume of each organ over the cases in which it was looked for.

    Args:
        cases: volumes of each case (`organ_volumes_mm3` of its annotated organs).
        absent_counts_zero: an organ of volume 0 counts; otherwise it is passed over.

    Raises:
        UsageError: no case has any organ.
    """
    found: dict[str, list[float]] = {}
    for volumes in cases:
        for organ, volume in volumes.items():
            if volume > 0 or absent_counts_zero:
                found.setdefault(organ, []).append(volume)
    if not found:
        raise UsageError(
            "Mean organ volumes need at least one labeled case; there is none.",
            code="usage.reference",
        )
    return {organ: float(np.mean(volumes)) for organ, volumes in found.items()}


def check_volumes(
    label_map: LabelMap, mean_mm3: Mapping[str, float], rule: VolumeRatioRule | None = None
) -> Verdict:
    """Verdict of the volume-ratio filter on one pseudo-label.

    Organs that `mean_mm3` lacks, or has with volume 0, are not tested.

    Args:
        label_map: pseudo-label.
        mean_mm3: mean volume of each organ (`mean_volumes_mm3`).
        rule: limits; the defaults are the paper's.

    Source: Li et al., FLARE24 task 3: 0.2 and 1.8 times the mean of the CT labels, all organs
        present. The published code passes missing organs over.
    """
    rule = rule or VolumeRatioRule()
    touching = _touching_edge(label_map) if rule.missing == "inside-fov" else frozenset[str]()
    objections = []
    for organ, volume in organ_volumes_mm3(label_map).items():
        mean = mean_mm3.get(organ, 0.0)
        is_tested = not rule.organs or organ in rule.organs
        if mean <= 0 or organ in touching or not is_tested:
            continue
        if volume == 0:
            if rule.missing == "reject" or (rule.missing == "inside-fov" and not touching):
                objections.append(Objection("missing", organ, 0.0, rule.low * mean))
        elif volume <= rule.low * mean:
            objections.append(Objection("volume-low", organ, volume, rule.low * mean))
        elif volume >= rule.high * mean:
            objections.append(Objection("volume-high", organ, volume, rule.high * mean))
    return Verdict(tuple(objections))


def _touching_edge(label_map: LabelMap) -> frozenset[str]:
    """Ids of the organs that reach one of the six faces of the grid."""
    faces = [np.take(label_map.array, [0, -1], axis=axis).ravel() for axis in range(3)]
    return _names(label_map.labels, set(np.unique(np.concatenate(faces)).tolist()))


def _names(labels: LabelTable, values: Collection[int]) -> frozenset[str]:
    return frozenset(label.id for label in labels if label.value in values)
