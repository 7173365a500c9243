"""What the rows of the ablation learn from: packs, parts of them, and labels of unlabeled MR."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ablation_rows import CT, MAPS, MR, Row
from pseudo_labels import UNKNOWN

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.label_operations import confidence_mask
from FlareMRCore.imaging.pseudo_label_filters import (
    VolumeRatioRule,
    check_volumes,
    mean_volumes_mm3,
)
from FlareMRCore.pipeline.engine import Engine
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.pack import (
    CLASSES,
    CaseDescription,
    PackedCase,
    allowed_classes,
    load_pack,
    pack_case,
    save_case,
)
from FlareMRCore.training.pack_sources import PackGroup, build_pack, load_groups

GROUPS = Path(__file__).parents[2] / "FlareMRCore" / "resources" / "training"
TAUGHT = ("liver", "right_kidney", "spleen", "left_kidney")
"""Organs of pseudo-labels; the others stay open, as in the real MR with partial labels."""
RULE = VolumeRatioRule(missing="inside-fov", organs=TAUGHT)
CONFIDENCE = 0.85
"""Smallest probability of a voxel that is taught; Li et al., FLARE24 task 3, published code."""
BTCV = "btcv-"


@dataclass(frozen=True, slots=True)
class Labeled:
    """Pseudo-labeled cases, and what was left out, with the reason."""

    cases: tuple[PackedCase, ...]
    rejected: tuple[str, ...]


def packed_cases(data: Path, store: Path, spacing_mm: float) -> tuple[PackedCase, ...]:
    """All cases of the rows' groups at a spacing, packed on the first call.

    Raises:
        DatasetError: files of a group are missing.
    """
    folder = store / "packs" / f"{spacing_mm:g}"
    if not (folder / "done").is_file():
        listed = load_groups(GROUPS / "public-data.toml") + load_groups(GROUPS / "public-mr.toml")
        groups = tuple(group for group in listed if group.name in CT + MAPS + MR)
        build_pack(groups, data, folder, spacing_mm=spacing_mm, reporter=SilentReporter())
        (folder / "done").touch()
    return load_pack(folder)


def cases_of(row: Row, packed: tuple[PackedCase, ...]) -> tuple[PackedCase, ...]:
    """The cases that the row names; `row.cts` of those of BTCV, drawn with its seed.

    Raises:
        UsageError: there are fewer.
    """
    named = tuple(f"{group}-" for group in row.groups)
    cases = [case for case in packed if case.case_id.startswith(named)]
    btcv = sorted(case.case_id for case in cases if case.case_id.startswith(BTCV))
    if row.cts is None:
        return tuple(cases)
    if row.cts > len(btcv):
        raise UsageError(
            f"Row {row.id} asks for {row.cts} CT; there are {len(btcv)}.", code="usage.cases"
        )
    chosen = set(random.Random(row.seed).sample(btcv, row.cts))
    return tuple(c for c in cases if not c.case_id.startswith(BTCV) or c.case_id in chosen)


def labeled_mr(
    data: Path, engine: Engine, packed: tuple[PackedCase, ...], spacing_mm: float
) -> Labeled:
    """The MR of unlabeled-mr.toml with the engine's labels; no label map of theirs is read.

    An image whose organs are much smaller or larger than in the CT is left out; voxels of low
    confidence may be anything.

    Args:
        data: folder of the images.
        engine: opened with a confidence map.
        packed: cases that include the CT with their labels.
        spacing_mm: of the result.
    """
    mean = mean_volumes_mm3(_volumes_mm3(case) for case in packed if case.case_id.startswith(BTCV))
    cases, rejected = [], []
    for group, path in _images(data):
        volume = read_volume(path)
        result = engine.segment(volume, SilentReporter())
        verdict = check_volumes(result.label_map, mean, RULE)
        name = f"{group.name}-{path.name.split('.')[0]}"
        if not verdict.accepted or result.confidence is None:
            reasons = ", ".join(f"{o.organ} {o.rule}" for o in verdict.objections)
            rejected.append(f"{name} ({reasons or 'no confidence'})")
            continue
        labels = taught_labels(result.label_map, result.confidence)
        description = CaseDescription(f"pseudo-{name}", "mr", _allowed(), group.weight)
        cases.append(pack_case(description, volume, labels, spacing_mm=spacing_mm))
    return Labeled(tuple(cases), tuple(rejected))


def taught_labels(label_map: LabelMap, confidence: Volume) -> LabelMap:
    """Labels of the organs in `TAUGHT`; 0 for all else, `UNKNOWN` where confidence is low."""
    values = [label.value for label in organ_table().subset(TAUGHT)]
    kept = np.where(np.isin(label_map.array, values), label_map.array, np.uint8(0))
    masked = confidence_mask(kept, confidence.array, minimum=CONFIDENCE, ignore=UNKNOWN)
    return LabelMap(masked, label_map.geometry, organ_table())


def save_cases(cases: tuple[PackedCase, ...], folder: Path) -> None:
    """Write the cases as a pack."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        save_case(case, folder)


def _allowed() -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    others = tuple(label.value for label in organ_table() if label.id not in TAUGHT)
    return allowed_classes(others, {UNKNOWN: tuple(range(CLASSES))})


def _images(data: Path) -> Iterator[tuple[PackGroup, Path]]:
    for group in load_groups(GROUPS / "unlabeled-mr.toml"):
        for path in sorted(data.glob(group.image)):
            yield group, path


def _volumes_mm3(case: PackedCase) -> dict[str, float]:
    counts = np.bincount(case.labels.ravel(), minlength=256)
    return {
        label.id: float(counts[label.value] * case.spacing_mm**3)
        for label in organ_table()
        if label.id in TAUGHT
    }
