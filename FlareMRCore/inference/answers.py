"""What networks answered, as labels: organs, tumors, or both in branches of one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.dataset import EXTRA_STRUCTURES
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import LabelTable, organ_table, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.resampling import resample_labels_to
from FlareMRCore.inference.confidence import agreements, mean_confidences, winning_probability
from FlareMRCore.inference.point_sampling import sample_labels
from FlareMRCore.inference.postprocessing import Cleaned
from FlareMRCore.inference.preparation import Frame
from FlareMRCore.inference.stages import StageResult
from FlareMRCore.inference.upsampling import upsample_labels
from FlareMRCore.inference.winners import winning_classes
from FlareMRCore.networks.builders import ORGAN_CLASSES
from FlareMRCore.progress import Reporter
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

TUMOR_VALUE = EXTRA_STRUCTURES["tumor"]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Channels of a network that compete for a voxel.

    Attributes:
        result: with these channels only.
        values: label value of each channel, 0 first.
        labels_first: see `NetworkSpec`.
    """

    result: StageResult
    values: tuple[int, ...]
    labels_first: bool


def answers(result: StageResult, spec: NetworkSpec) -> tuple[Answer, ...]:
    """One answer for each branch of a network, organs first."""
    organs, tumor = (0, *organ_table().values), (0, TUMOR_VALUE)
    if not spec.tumor:
        return (Answer(result, organs, spec.labels_first),)
    if not spec.organs:
        return (Answer(result, tumor, spec.labels_first),)
    # The winners of a view over both branches would mean nothing.
    first = replace(result, logits=result.logits[:ORGAN_CLASSES], view_labels=())
    second = replace(result, logits=result.logits[ORGAN_CLASSES:], view_labels=())
    return Answer(first, organs, spec.labels_first), Answer(second, tumor, spec.labels_first)


def known_structures(entry: WeightsEntry) -> LabelTable:
    """What the networks of an entry can label: organs, tumors, or both."""
    specs = [spec for spec in (entry.coarse, entry.fine, entry.tumor) if spec is not None]
    ids = [label.id for label in organ_table()] if any(spec.organs for spec in specs) else []
    if any(spec.tumor for spec in specs):
        ids.append("tumor")
    return structure_table().subset(tuple(ids)) if ids else organ_table()


def full_labels(answer: Answer, frame: Frame, reporter: Reporter) -> Labels:
    """Labels of an answer on the grid of the working image."""
    lookup = np.array(answer.values, dtype=np.uint8)
    return lookup[_channels(answer, frame, reporter)]


def confidences(answer: Answer) -> dict[int, float | None]:
    """Mean probability of the label over its voxels, by label value."""
    result = answer.result
    labels, probability = winning_classes(result.logits), winning_probability(result.logits)
    found = mean_confidences(labels, probability, len(answer.values))
    return dict(zip(answer.values, found, strict=True))


def view_agreements(answer: Answer) -> dict[int, float | None]:
    """Agreement of the views, by label value."""
    found = agreements(answer.result.view_labels, len(answer.values))
    return dict(zip(answer.values, found, strict=True))


def overlaid(cleaned: Cleaned, over: Sequence[Labels], geometry: Geometry) -> Cleaned:
    """The labels with those of `over` on top; their pieces are left as they are.

    Args:
        cleaned: organs.
        over: labels of further answers on the same grid, in rising priority.
        geometry: the grid.
    """
    if not over:
        return cleaned
    labels = cleaned.labels.copy()
    for other in over:
        np.copyto(labels, other, where=other > 0)
    counts = np.bincount(labels.ravel(), minlength=256)
    voxel_ml = geometry.voxel_volume_mm3 / 1000
    values = (*cleaned.volumes_ml, TUMOR_VALUE)
    volumes = {value: float(counts[value] * voxel_ml) for value in values}
    shares = {**cleaned.fragment_shares, TUMOR_VALUE: 0.0}
    return Cleaned(labels, volumes, shares, cleaned.notes)


def _channels(answer: Answer, frame: Frame, reporter: Reporter) -> Labels:
    """Winning channel of each voxel of the working image."""
    target, result = frame.working.geometry, answer.result
    if answer.labels_first:
        return _nearest(result, target, is_oblique=frame.is_oblique)
    if frame.is_oblique:
        return sample_labels(result.logits, result.grid, target, reporter)
    labels = np.zeros(target.shape, dtype=np.uint8)
    region = target.cropped(result.box)
    labels[result.box.slices] = upsample_labels(result.logits, result.grid, region, reporter)
    return labels


def _nearest(result: StageResult, target: Geometry, *, is_oblique: bool) -> Labels:
    """The decision on the network's grid, resampled by nearest neighbor.

    Source: Ma et al., FLARE 2022 winner; Zhu et al., FLARE 2024 task 3.
    """
    winners = winning_classes(result.logits).cpu().numpy()
    small = LabelMap(winners, result.grid, LabelTable(()))
    if is_oblique:
        return np.array(resample_labels_to(small, target).array)
    labels = np.zeros(target.shape, dtype=np.uint8)
    labels[result.box.slices] = resample_labels_to(small, target.cropped(result.box)).array
    return labels
