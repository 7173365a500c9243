"""How doubtful a pseudo-label is, and why: what anatomy, the network and earlier rounds say."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.anatomy import check_sides, is_upside_down
from FlareMRCore.imaging.components import label_components
from FlareMRCore.imaging.pseudo_label_filters import Objection
from FlareMRCore.imaging.uncertainty import round_uncertainty
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import NOTES, digest_of
from FlareMRCore.pipeline.review_decisions import REVIEWS

VERSION = 1
"""Raised when doubt is computed in another way; older answers are then computed again."""
LOW_CONFIDENCE, LOW_AGREEMENT = 0.7, 0.8
"""Below these an organ is worth a look; the networks' probabilities are not calibrated."""
HIGH_UNCERTAINTY = 0.2
"""Changed voxels per voxel of foreground from round to round; ours, a fifth of the label."""
MILD = {"touches-border": 0.1}
"""Rules that say little, and what they count; all others count 1."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks against a pseudo-label.

    Attributes:
        score: for sorting, 0 or more: objections count 1 each (an organ at the image's border
            0.1), and the lowest confidence and the change since earlier rounds add up to 1 each.
        objections: everything odd, in order of the organs.
    """

    score: float
    objections: tuple[Objection, ...]

    def with_objections(self, more: Sequence[Objection]) -> Doubt:
        """The same with what others say against it, each counting as one's own."""
        score = self.score + sum(MILD.get(objection.rule, 1.0) for objection in more)
        return Doubt(round(score, 4), (*self.objections, *more))


def doubt_of(store: ArtifactStore, artifact: Path, labels: Sequence[tuple[str, Path]]) -> Doubt:
    """Doubt about the last of `labels`; remembered in the store.

    Args:
        store: keeps the answer.
        artifact: folder of the artifact that made it, with the engine's report as a note if any.
        labels: hash and path of this examination's label maps, of earlier rounds first.

    Raises:
        InputError: a file is no label map.
    """
    hashes = [sha256 for sha256, _ in labels]
    name = digest_of({"version": VERSION, "labels": hashes, "artifact": artifact.name})
    memory = store.root / REVIEWS / "doubts" / f"{name}.json"
    known = _remembered(memory)
    if known is not None:
        return known
    maps = [read_label_map(path, structure_table()) for _, path in labels]
    doubt = measure(maps, _report(artifact))
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(memory, asdict(doubt))
    return doubt


def measure(rounds: Sequence[LabelMap], report: Mapping[str, Any]) -> Doubt:
    """Doubt about the last of `rounds`.

    Args:
        rounds: label maps of one examination, the latest last.
        report: of the engine, as JSON values (`SegmentationReport.as_dict`); may be empty.
    """
    objections = [*label_objections(rounds[-1]), *_side_objections(rounds[-1])]
    organs = report.get("organs", ())
    objections += _report_objections(organs)
    sure = [organ["confidence"] for organ in organs if organ.get("confidence") is not None]
    uncertainty = _uncertainty(rounds)
    if uncertainty > HIGH_UNCERTAINTY:
        objections.append(Objection("rounds-differ", "all", uncertainty, HIGH_UNCERTAINTY))
    score = sum(MILD.get(objection.rule, 1.0) for objection in objections)
    score += 1.0 - min(sure, default=1.0)
    return Doubt(round(score + min(uncertainty, 1.0), 4), tuple(objections))


def label_objections(label_map: LabelMap) -> Iterator[Objection]:
    """What is odd about the organs: missing, at the border, in pieces, of unusual volume."""
    from FlareMRCore.inference.plausibility import FRAGMENT_SHARE, organ_flags, values_at_border

    volumes, shares = _volumes_ml(label_map), _fragment_shares(label_map.array)
    border = values_at_border(np.asarray(label_map.array))
    for label in organ_table():
        volume, share = volumes.get(label.value, 0.0), shares.get(label.value, 0.0)
        low, high = label.plausible_ml
        at_border = label.value in border
        measured = {
            "missing": (volume, low),
            "touches-border": (1.0, 0.0),
            "fragmented": (share, FRAGMENT_SHARE),
            "implausible-volume": (volume, low if volume < low else high),
        }
        for flag in organ_flags(label, volume, at_border=at_border, fragment_share=share):
            yield Objection(flag, label.id, *measured[flag])


def _side_objections(label_map: LabelMap) -> Iterator[Objection]:
    for check in check_sides(label_map):
        if not check.consistent:
            yield Objection("wrong-side", f"{check.right}+{check.left}", check.gap_mm, 0.0)
    if is_upside_down(label_map):
        yield Objection("upside-down", "liver+left_kidney", 1.0, 0.0)


def _report_objections(organs: Collection[Mapping[str, Any]]) -> Iterator[Objection]:
    limits = (("confidence", LOW_CONFIDENCE), ("agreement", LOW_AGREEMENT))
    for organ in organs:
        for key, limit in limits:
            value = organ.get(key)
            if value is not None and value < limit:
                yield Objection(f"low-{key}", organ["id"], float(value), limit)


def _uncertainty(rounds: Sequence[LabelMap]) -> float:
    """Change over the rounds that lie on the grid of the last one; 0 with one round."""
    shape = rounds[-1].array.shape
    arrays = [labels.array for labels in rounds if labels.array.shape == shape]
    return round_uncertainty(arrays) if len(arrays) > 1 else 0.0


def _volumes_ml(label_map: LabelMap) -> dict[int, float]:
    counts = np.bincount(label_map.array.ravel(), minlength=256)
    voxel_ml = label_map.geometry.voxel_volume_mm3 / 1000
    return {int(value): float(counts[value] * voxel_ml) for value in np.flatnonzero(counts)}


def _fragment_shares(array: NDArray[np.uint8]) -> dict[int, float]:
    """Share of each label outside of its largest piece."""
    found = label_components(array)
    totals = np.bincount(found.value, weights=found.size, minlength=256)
    return {
        int(value): 1.0 - float(found.size[found.largest(int(value))] / totals[value])
        for value in np.flatnonzero(totals)
        if value
    }


def _report(artifact: Path) -> Mapping[str, Any]:
    path = artifact / NOTES / "report.json"
    if not path.is_file():
        return {}
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _remembered(memory: Path) -> Doubt | None:
    """What was found before; a damaged file costs the time to look again."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        objections = tuple(Objection(**entry) for entry in content["objections"])
        return Doubt(float(content["score"]), objections)
    except (OSError, ValueError, KeyError, TypeError):
        return None
