"""The public benchmark of real images as a dataset: labeled CT to MR without labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from FlareMRCore.data.dataset import Case, Dataset, StoredFile
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError

FOUR = ("liver", "right_kidney", "spleen", "left_kidney")
"""What is annotated in the MR."""
MISSING_IN_CT = ("duodenum",)


def real_dataset(data: Path) -> Dataset:
    """The parts ``uda_source``, ``uda_target`` and ``uda_score`` of splits.json in `data`.

    Targets to train with come without labels: the dataset does not even name their files. Those of
    ``uda_score`` have labels, in the part ``default/test``.

    Raises:
        DatasetError: a part has no case, or an image is missing.
    """
    splits = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    source = [_source(data, image) for image in _images(data, splits["uda_source"], "_ct")]
    target = [_target(data, image) for image in _images(data, splits["uda_target"], "_t2spir")]
    score = [_scored(data, image) for image in _images(data, splits["uda_score"], "_t2spir")]
    parts = {"train": _patients(source + target), "test": _patients(score)}
    return Dataset(
        root=data,
        name="BTCV to CHAOS T2-SPIR",
        license="BTCV: research use; CHAOS: CC BY-SA 4.0",
        cases=(*source, *target, *score),
        splits={"default": parts},
    )


def _images(data: Path, part: Mapping[str, Any], ending: str) -> list[Path]:
    folder = data / part["folder"]
    chosen = part["cases"]
    paths = sorted(folder.glob(f"*{ending}.nii.gz"))
    if chosen != "all":
        paths = [folder / f"{name}{ending}.nii.gz" for name in chosen]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        raise DatasetError(
            f"Images are missing in '{folder}': {', '.join(missing) or 'all'}.",
            code="dataset.missing",
        )
    return paths


def _patients(cases: list[Case]) -> tuple[str, ...]:
    return tuple(case.patient_id for case in cases)


def _file(data: Path, path: Path) -> StoredFile:
    return StoredFile(path.relative_to(data).as_posix())


def _source(data: Path, image: Path) -> Case:
    name = image.name.removesuffix("_ct.nii.gz")
    return Case(
        case_id=name,
        patient_id=name,
        domain="source",
        modality="CT",
        images={"ct": _file(data, image)},
        label_map=_file(data, image.with_name(f"{name}_label.nii.gz")),
        label_source="manual",
        annotated=tuple(o.id for o in organ_table() if o.id not in MISSING_IN_CT),
    )


def _target(data: Path, image: Path) -> Case:
    name = image.name.removesuffix("_t2spir.nii.gz")
    return Case(name, name, "target", "MR", {"t2-spir": _file(data, image)})


def _scored(data: Path, image: Path) -> Case:
    name = image.name.removesuffix("_t2spir.nii.gz")
    labels = _file(data, image.with_name(f"{name}_label4organ.nii.gz"))
    images = {"t2-spir": _file(data, image)}
    return Case(name, name, "target", "MR", images, labels, "manual", FOUR)
