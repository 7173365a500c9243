"""Cases and datasets: which image and label map belong to which patient, and what is annotated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.errors import DatasetError

DOMAINS = ("source", "target")
MODALITIES = ("CT", "MR")
LABEL_SOURCES = ("manual", "corrected", "predicted", "phantom")
EXTRA_STRUCTURES = {"tumor": 14}
"""What may be annotated besides the organs, and its value in label maps (FLARE23)."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a dataset.

    Attributes:
        path: relative to the manifest, with forward slashes.
        sha256: lower-case hexadecimal digest, or None if it was not recorded.
    """

    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One examination of one patient.

    Attributes:
        case_id: unique in the dataset.
        patient_id: cases of one patient share it and are never split.
        domain: ``"source"`` (labels may be used) or ``"target"``.
        modality: ``"CT"`` or ``"MR"``.
        images: file of each sequence, e.g. ``{"t1-arterial": ...}``.
        label_map: labels, on the grid of the first image; None if there are none.
        label_source: who made the labels, one of `LABEL_SOURCES`; None without labels.
        annotated: ids of the labels that were looked for; others are unknown, not absent.
    """

    case_id: str
    patient_id: str
    domain: str
    modality: str
    images: Mapping[str, StoredFile]
    label_map: StoredFile | None = None
    label_source: str | None = None
    annotated: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Images in order, then the label map if there is one."""
        labels = (self.label_map,) if self.label_map else ()
        return (*self.images.values(), *labels)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Cases with one origin and licence.

    Attributes:
        root: folder the paths of files are relative to.
        name: what people call it.
        license: terms of the data, SPDX identifier or a sentence.
        cases: all cases.
        splits: by scheme, then by part, the patients: ``{"default": {"train": (...)}}``; the
            parts of one scheme share no patient.
        origin: where the data come from, e.g. a DOI; may be empty.
    """

    root: Path
    name: str
    license: str
    cases: tuple[Case, ...]
    splits: Mapping[str, Mapping[str, tuple[str, ...]]]
    origin: str = ""

    def case(self, case_id: str) -> Case:
        """The case called `case_id`.

        Raises:
            DatasetError: no such case.
        """
        for case in self.cases:
            if case.case_id == case_id:
                return case
        raise DatasetError(
            f"The dataset '{self.name}' has no case '{case_id}'.",
            code="dataset.case",
            hint="See the manifest for the cases there are.",
        )

    def part(self, scheme: str, part: str) -> tuple[Case, ...]:
        """Cases whose patients the split `scheme` puts in `part`, in order of the manifest.

        Raises:
            DatasetError: no such scheme or part; the message lists those there are.
        """
        parts = self.splits.get(scheme)
        if parts is None or part not in parts:
            known = [f"{s}/{p}" for s, names in self.splits.items() for p in names]
            raise DatasetError(
                f"The dataset '{self.name}' has no split '{scheme}/{part}'. "
                f"Known: {', '.join(known) or 'none'}.",
                code="dataset.split",
            )
        patients = set(parts[part])
        return tuple(case for case in self.cases if case.patient_id in patients)

    def path_of(self, file: StoredFile) -> Path:
        """Where `file` lies on this computer."""
        return self.root / file.path


def sha256_of(path: Path) -> str:
    """Lower-case hexadecimal digest of the file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify_files(dataset: Dataset) -> None:
    """Check that every file exists and has its recorded hash.

    Raises:
        DatasetError: lists all files that are missing or differ.
    """
    problems = [
        f"case '{case.case_id}': '{file.path}' {problem}"
        for case in dataset.cases
        for file in case.files
        if (problem := _file_problem(dataset.path_of(file), file.sha256))
    ]
    report_problems(f"The files of dataset '{dataset.name}'", problems, code="dataset.files")


def report_problems(what: str, problems: list[str], *, code: str) -> None:
    """Raise one DatasetError that lists all `problems`; do nothing if there are none."""
    if not problems:
        return
    lines = "".join(f"\n  - {problem}" for problem in problems)
    raise DatasetError(
        f"{what} have {len(problems)} problem{'s' if len(problems) > 1 else ''}:{lines}\n",
        code=code,
        hint="Correct them all and try again.",
    )


def _file_problem(path: Path, expected: str | None) -> str:
    if not path.is_file():
        return "is missing"
    if expected is None:
        return ""
    found = sha256_of(path)
    return "" if found == expected else f"has sha256 {found}, expected {expected}"
