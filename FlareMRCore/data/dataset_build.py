"""From a folder or a CSV file to a manifest: patients, sequences, labels, checksums, splits."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from FlareMRCore.data.dataset import EXTRA_STRUCTURES, Case, Dataset, StoredFile, sha256_of
from FlareMRCore.data.dataset_csv import read_dataset_csv
from FlareMRCore.data.dataset_layouts import LAYOUTS, Found, detect_layout
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.progress import Reporter, SilentReporter

MANIFEST_NAME = "flaremr-dataset.json"
SHARES = {"train": 0.8, "validate": 0.2}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the files do not say.

    Attributes:
        layout: one of `LAYOUTS`, or ``"auto"``.
        name: of the data set; empty takes the folder's.
        license: terms of the data.
        origin: where they come from.
        modality: of files whose names do not tell.
        annotated: organs looked for in every label map; None takes, case by case, those that
            occur, as with partial labels.
        checksums: record the SHA-256 of every file.
        shares: parts of the split and their share of the patients, if the folders make no split.
        seed: of that split.
    """

    layout: str = "auto"
    name: str = ""
    license: str = "not stated"
    origin: str = ""
    modality: Literal["CT", "MR"] = "MR"
    annotated: tuple[str, ...] | None = None
    checksums: bool = True
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    seed: int = 0


def build_dataset(
    source: Path | str, options: BuildOptions | None = None, *, reporter: Reporter | None = None
) -> Dataset:
    """The data set in the folder, or described by the CSV file, `source`.

    Its root is the folder (of the CSV file); save the manifest there. The split ``"default"`` is
    the one that the folders make, or else a seeded one by patient.

    Raises:
        DatasetError: no images, or files that contradict each other.
        UsageError: an unknown layout.
    """
    source, options = Path(source), options or BuildOptions()
    reporter = reporter or SilentReporter()
    found, annotated = _find(source, options)
    if not found:
        raise DatasetError(
            f"There is no image in '{source}' for the layout '{options.layout}'.",
            code="dataset.empty",
            hint=f"Name the layout: {', '.join(LAYOUTS)}, or describe the files in a CSV file.",
        )
    root = source if source.is_dir() else source.parent
    cases = []
    for number, one in enumerate(found):
        reporter.advance("dataset", number, len(found))
        organs = annotated.get(one.case_id, options.annotated)
        cases.append(_case(one, root, organs, checksums=options.checksums))
    reporter.advance("dataset", len(found), len(found))
    split = given_split(found) or split_patients(
        [one.patient_id for one in found], options.shares, seed=options.seed
    )
    name = options.name or root.resolve().name
    return Dataset(root, name, options.license, tuple(cases), {"default": split}, options.origin)


def split_patients(
    patients: Sequence[str], shares: Mapping[str, float], *, seed: int = 0
) -> dict[str, tuple[str, ...]]:
    """Each patient in one part, about in proportion to `shares`; equal input, equal split.

    The order of `patients` and repetitions do not matter.

    Raises:
        UsageError: shares that are not positive.
    """
    if not shares or any(share <= 0 for share in shares.values()):
        raise UsageError(
            f"The shares of a split are positive; found {dict(shares)}.", code="usage.split"
        )
    people = sorted(set(patients))
    random.Random(seed).shuffle(people)
    total, start, cut = sum(shares.values()), 0, 0.0
    parts = {}
    for part, share in shares.items():
        cut += share
        end = round(len(people) * cut / total)
        parts[part] = tuple(sorted(people[start:end]))
        start = end
    return parts


def given_split(found: Sequence[Found]) -> dict[str, tuple[str, ...]]:
    """The split that folders or a CSV file make; empty if they make none."""
    parts: dict[str, set[str]] = {}
    for one in found:
        if one.part is not None:
            parts.setdefault(one.part, set()).add(one.patient_id)
    if len(parts) < 2:
        return {}
    return {part: tuple(sorted(people)) for part, people in parts.items()}


def _find(
    source: Path, options: BuildOptions
) -> tuple[tuple[Found, ...], Mapping[str, tuple[str, ...]]]:
    if source.is_file():
        return read_dataset_csv(source)
    if not source.is_dir():
        raise DatasetError(
            f"There is no folder or file '{source}'.",
            code="dataset.missing",
            hint="Check the path.",
        )
    layout = detect_layout(source) if options.layout == "auto" else options.layout
    if layout not in LAYOUTS:
        raise UsageError(
            f"There is no layout '{layout}'. Known: auto, {', '.join(LAYOUTS)}.",
            code="usage.layout",
        )
    return tuple(LAYOUTS[layout](source, options.modality)), {}


def _case(found: Found, root: Path, organs: tuple[str, ...] | None, *, checksums: bool) -> Case:
    label = found.label
    annotated: tuple[str, ...] = ()
    if label is not None:
        annotated = (
            organs if organs is not None else occurring_structures(label, tumors=found.tumors)
        )
        label = label if annotated else None  # an empty label map says nothing
    return Case(
        found.case_id,
        found.patient_id,
        found.domain,
        found.modality,
        {name: _stored(path, root, checksums=checksums) for name, path in found.images.items()},
        _stored(label, root, checksums=checksums) if label is not None else None,
        found.label_source if label is not None else None,
        annotated,
    )


def occurring_structures(label: Path, *, tumors: bool = False) -> tuple[str, ...]:
    """Ids of the organs that have a voxel in the label map; with `tumors` those of 14 too.

    Raises:
        InputError: the file cannot be read as a label map.
    """
    array = read_label_map(label).array
    present = np.bincount(array.ravel(), minlength=256) > 0
    organs = tuple(organ.id for organ in organ_table() if present[organ.value])
    extra = EXTRA_STRUCTURES if tumors else {}
    return organs + tuple(name for name, value in extra.items() if present[value])


def _stored(path: Path, root: Path, *, checksums: bool) -> StoredFile:
    try:
        relative = path.relative_to(root).as_posix()
    except ValueError as error:
        raise DatasetError(
            f"'{path}' lies outside of '{root}'.",
            code="dataset.outside",
            hint="Put the manifest or the CSV file in a folder above all images.",
        ) from error
    return StoredFile(relative, sha256_of(path) if checksums else None)
