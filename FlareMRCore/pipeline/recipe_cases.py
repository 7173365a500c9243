"""Cases on their way through a recipe: what is known of each, and which files hold its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from FlareMRCore.data.dataset import Case, Dataset
from FlareMRCore.data.dataset_names import parse_sequence
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.artifacts import digest_of
from FlareMRCore.pipeline.file_digests import FileDigests


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file and the SHA-256 of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class RecipeCase:
    """One case; see `FlareMRCore.data.dataset.Case` for the meaning of most attributes.

    Attributes:
        domain: ``"source"``, ``"target"``, or ``"synthetic"`` for a source case that was made to
            look like the target: its labels are the source's and may be used.
        images: file of each sequence; the first one is the one that is segmented.
        label_map: labels on the grid of the first image, or None.
        parts: the parts of splits it belongs to, e.g. ``"default/train"``.
    """

    case_id: str
    patient_id: str
    domain: str
    modality: str
    images: Mapping[str, DataFile]
    label_map: DataFile | None = None
    label_source: str | None = None
    annotated: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Images in order, then the label map if there is one."""
        return (*self.images.values(), *((self.label_map,) if self.label_map else ()))

    @property
    def image(self) -> DataFile:
        """The first image."""
        return next(iter(self.images.values()))

    @property
    def sequence(self) -> str:
        """Of the first image: one of `SEQUENCES`, or its name if it is none of them."""
        name = next(iter(self.images))
        return parse_sequence(name) or name

    @property
    def digest(self) -> str:
        """Of everything but the places of the files."""
        return digest_of(case_record(self))


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases of its first input a stage takes; all conditions must hold.

    Attributes:
        domain: ``"source"``, ``"target"`` or ``"synthetic"``; empty for all.
        modality: ``"CT"`` or ``"MR"``; empty for both.
        part: part of a split, e.g. ``"default/train"``; empty for all.
        labeled: only cases with (True) or without (False) a label map.
        sequences: of the first image, in any spelling that is known; empty for all.
        other_than: as `sequences`, for those that are left out.
        annotates: ids of structures that were looked for in the case, all of them.
        lacks: ids of structures that were not looked for, none of them.
    """

    domain: str = ""
    modality: str = ""
    part: str = ""
    labeled: bool | None = None
    sequences: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    annotates: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def __call__(self, case: RecipeCase) -> bool:
        """Whether the stage takes `case`."""
        return (
            self.domain in ("", case.domain)
            and self.modality in ("", case.modality)
            and (not self.part or self.part in case.parts)
            and self.labeled in (None, case.label_map is not None)
            and (not self.sequences or case.sequence in _sequences(self.sequences))
            and case.sequence not in _sequences(self.other_than)
            and set(self.annotates) <= set(case.annotated)
            and not set(self.lacks) & set(case.annotated)
        )


def _sequences(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(parse_sequence(name) or name for name in names)


@dataclass(frozen=True, slots=True)
class FilePlaces:
    """Where files lie, by content."""

    by_sha256: Mapping[str, Path] = field(default_factory=dict)

    def find(self, sha256: str) -> DataFile:
        """The file with this content.

        Raises:
            DatasetError: no such file.
        """
        if sha256 not in self.by_sha256:
            raise DatasetError(
                f"A file with sha256 {sha256} is recorded, but not among the inputs.",
                code="store.record",
                hint="Remove that artifact from the store and run the recipe again.",
            )
        return DataFile(self.by_sha256[sha256], sha256)


def case_record(case: RecipeCase) -> dict[str, Any]:
    """The case as JSON values, files by their hashes."""
    return {
        "id": case.case_id,
        "patient": case.patient_id,
        "domain": case.domain,
        "modality": case.modality,
        "images": [[name, file.sha256] for name, file in case.images.items()],
        "label_map": case.label_map.sha256 if case.label_map else None,
        "label_source": case.label_source,
        "annotated": list(case.annotated),
        "parts": list(case.parts),
    }


def case_from_record(record: Mapping[str, Any], places: FilePlaces) -> RecipeCase:
    """The case of a record; inverse of `case_record`.

    Raises:
        DatasetError: a file is nowhere.
    """
    labels = record["label_map"]
    return RecipeCase(
        case_id=record["id"],
        patient_id=record["patient"],
        domain=record["domain"],
        modality=record["modality"],
        images={name: places.find(sha256) for name, sha256 in record["images"]},
        label_map=places.find(labels) if labels else None,
        label_source=record["label_source"],
        annotated=tuple(record["annotated"]),
        parts=tuple(record["parts"]),
    )


def dataset_cases(dataset: Dataset, digests: FileDigests) -> tuple[RecipeCase, ...]:
    """All cases of `dataset` in order.

    Raises:
        DatasetError: a file is missing.
    """
    return tuple(_recipe_case(case, dataset, digests) for case in dataset.cases)


def _recipe_case(case: Case, dataset: Dataset, digests: FileDigests) -> RecipeCase:
    def located(path: Path) -> DataFile:
        return DataFile(path, digests.of(path))

    return RecipeCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        domain=case.domain,
        modality=case.modality,
        images={name: located(dataset.path_of(file)) for name, file in case.images.items()},
        label_map=located(dataset.path_of(case.label_map)) if case.label_map else None,
        label_source=case.label_source,
        annotated=case.annotated,
        parts=tuple(
            f"{scheme}/{part}"
            for scheme, parts in dataset.splits.items()
            for part, patients in parts.items()
            if case.patient_id in patients
        ),
    )
