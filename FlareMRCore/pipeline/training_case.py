"""A corrected segmentation becomes a case of a data set, if somebody asks for it."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from FlareMRCore.data.dataset import Case, Dataset, StoredFile, sha256_of
from FlareMRCore.data.dataset_manifest import load_dataset, save_dataset
from FlareMRCore.data.dataset_names import stem_of
from FlareMRCore.data.label_io import LabelReadResult, read_labels_with_warnings, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import ReadResult, read_with_warnings, write_volume
from FlareMRCore.errors import DatasetError, GeometryError, InputError, UsageError
from FlareMRCore.pipeline.artifacts import digest_of
from FlareMRCore.pipeline.case_labels import LABELS_NAME
from FlareMRCore.pipeline.file_lock import try_lock
from FlareMRCore.pipeline.output_paths import check_folder
from FlareMRCore.pipeline.review_decisions import GRID_TOLERANCE_MM

CORRECTIONS = "corrections"
"""Folder beside the manifest that copies of images and labels go into."""
SAFE_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class NewCase:
    """What is to be known of the case.

    Attributes:
        case_id: empty for the name of the image.
        patient_id: empty for the id of the case.
        sequence: name of the image in the case.
        modality: ``"CT"`` or ``"MR"``.
        domain: ``"source"`` or ``"target"``.
    """

    case_id: str = ""
    patient_id: str = ""
    sequence: str = "image"
    modality: str = "MR"
    domain: str = "target"


def add_training_case(
    manifest: Path, image: Path, labels: Path, new: NewCase
) -> tuple[Case, tuple[str, ...]]:
    """Append a case with labels of source ``"corrected"`` to `manifest`, which is made if missing.

    Image and labels are copied into the folder `CORRECTIONS` beside the manifest. All organs
    count as looked for. A new patient joins the part "train" of every split that has one.

    Returns:
        The case, and what had to be decided while reading.

    Raises:
        GeometryError: the labels do not lie on the grid of the image.
        DatasetError: the data set has a case of this id, or this very image.
        UsageError: the id cannot be a name of a folder, or another process changes the manifest.
    """
    new = replace(new, case_id=new.case_id or stem_of(image) or image.name)
    _require_usable(new.case_id, manifest)
    read, found = _read(image, labels)
    with _exclusive(manifest):
        dataset = load_dataset(manifest) if manifest.is_file() else _empty(manifest)
        _require_new(dataset, new.case_id, image)
        home, files = _store_files(manifest.parent, read, found, new)
        case = _case(new, home, files)
        save_dataset(manifest, _with_case(dataset, case))
    return case, (*read.warnings, *found.warnings)


def _read(image: Path, labels: Path) -> tuple[ReadResult, LabelReadResult]:
    read, found = read_with_warnings(image), read_labels_with_warnings(labels)
    expected, actual = read.volume.geometry, found.label_map.geometry
    if not expected.coincides(actual, tolerance_mm=GRID_TOLERANCE_MM):
        raise GeometryError(
            f"'{labels}' does not lie on the grid of '{image}': expected {expected.shape} voxels "
            f"of {expected.spacing_mm} mm, found {actual.shape} of {actual.spacing_mm} mm.",
            code="review.grid",
            hint="Export the segmentation with the image as its reference.",
        )
    if not np.isin(found.label_map.array, organ_table().values).any():
        raise InputError(
            f"'{labels}' holds none of the organs.",
            code="review.empty",
            hint="Give the corrected segmentation.",
        )
    return read, found


def _store_files(
    root: Path, read: ReadResult, found: LabelReadResult, new: NewCase
) -> tuple[str, dict[str, str]]:
    """Folder of the copies, relative to `root`, and the hash of each; complete or not there."""
    label_map = LabelMap(found.label_map.array, read.volume.geometry, organ_table())
    image_name = f"{new.sequence}.nii.gz"
    parent = root / CORRECTIONS
    parent.mkdir(exist_ok=True)
    folder = parent / f".{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        write_volume(folder / image_name, read.volume, like=read.grid)
        write_label_map(folder / LABELS_NAME, label_map, like=read.grid)
        hashes = {name: sha256_of(folder / name) for name in (image_name, LABELS_NAME)}
        # Named by its content: what an interrupted attempt left is as good as new.
        home = f"{new.case_id}-{digest_of(hashes)[:12]}"
        if not (parent / home).is_dir():
            folder.rename(parent / home)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{CORRECTIONS}/{home}", hashes


def _case(new: NewCase, home: str, hashes: Mapping[str, str]) -> Case:
    files = {name: StoredFile(f"{home}/{name}", sha256) for name, sha256 in hashes.items()}
    return Case(
        case_id=new.case_id,
        patient_id=new.patient_id or new.case_id,
        domain=new.domain,
        modality=new.modality,
        images={new.sequence: files[f"{new.sequence}.nii.gz"]},
        label_map=files[LABELS_NAME],
        label_source="corrected",
        annotated=tuple(label.id for label in organ_table()),
    )


def _with_case(dataset: Dataset, case: Case) -> Dataset:
    splits: dict[str, dict[str, tuple[str, ...]]] = {}
    for scheme, parts in dataset.splits.items():
        placed = {patient for patients in parts.values() for patient in patients}
        splits[scheme] = dict(parts)
        if "train" in parts and case.patient_id not in placed:
            splits[scheme]["train"] = (*parts["train"], case.patient_id)
    return replace(dataset, cases=(*dataset.cases, case), splits=splits)


def _empty(manifest: Path) -> Dataset:
    return Dataset(manifest.parent, "corrections", "not stated", (), {"default": {"train": ()}}, "")


@contextmanager
def _exclusive(manifest: Path) -> Iterator[None]:
    lock = manifest.with_name(f".{manifest.name}.lock")
    with try_lock(lock) as free:
        if not free:
            raise UsageError(
                f"Another process is changing '{manifest}'.",
                code="dataset.busy",
                hint="Try again when it is done.",
            )
        yield
        with suppress(OSError):  # Windows removes no open file; an old one locks as well
            lock.unlink(missing_ok=True)


def _require_usable(case_id: str, manifest: Path) -> None:
    if not SAFE_NAME.fullmatch(case_id) or case_id.startswith("."):
        raise UsageError(
            f"'{case_id}' cannot be the id of a case: letters, digits, '.', '-' and '_' only.",
            code="usage.case",
            hint="Give another id with --case.",
        )
    check_folder(manifest.parent)


def _require_new(dataset: Dataset, case_id: str, image: Path) -> None:
    if any(case.case_id == case_id for case in dataset.cases):
        raise DatasetError(
            f"The data set '{dataset.name}' has a case '{case_id}' already.",
            code="dataset.duplicate",
            hint="Give another id with --case.",
        )
    digest = sha256_of(image) if image.is_file() else ""
    for case in dataset.cases:
        for file in case.images.values():
            is_same = dataset.path_of(file).resolve() == image.resolve()
            if is_same or (digest and file.sha256 == digest):
                raise DatasetError(
                    f"'{image}' is case '{case.case_id}' of the data set '{dataset.name}' already.",
                    code="dataset.duplicate",
                    hint="Correct its pseudo-label with 'review correct' instead.",
                )
