"""The JSON manifest of a dataset: reading with every mistake in one message, and writing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.dataset import (
    DOMAINS,
    EXTRA_STRUCTURES,
    LABEL_SOURCES,
    MODALITIES,
    Case,
    Dataset,
    StoredFile,
    report_problems,
)
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError

MANIFEST_FORMAT = 1

_DATASET_KEYS = {"format": int, "name": str, "license": str, "cases": list, "splits": dict}
_CASE_KEYS = {"id": str, "patient": str, "domain": str, "modality": str, "images": dict}
_CASE_OPTIONS = {"label_map": dict, "label_source": str, "annotated": list}
_DIGEST = re.compile(r"[0-9a-f]{64}")


def load_dataset(path: Path | str) -> Dataset:
    """The dataset whose manifest is `path`; image files are not touched (see `verify_files`).

    Raises:
        DatasetError: the file is missing or no manifest; lists all mistakes.
    """
    path = Path(path)
    content = _json_object(path)
    problems = list(_manifest_problems(content))
    report_problems(f"The entries of '{path}'", problems, code="dataset.manifest")
    return Dataset(
        root=path.parent,
        name=content["name"],
        license=content["license"],
        cases=tuple(_case(entry) for entry in content["cases"]),
        splits={
            scheme: {part: tuple(patients) for part, patients in parts.items()}
            for scheme, parts in content["splits"].items()
        },
        origin=content.get("origin", ""),
    )


def save_dataset(path: Path | str, dataset: Dataset) -> None:
    """Write the manifest of `dataset` atomically; its paths stay relative to `path`'s folder.

    Raises:
        DatasetError: the dataset contradicts itself; nothing is written.
        UsageError: the file cannot be written.
    """
    content = _document(dataset)
    problems = list(_manifest_problems(content))
    report_problems(f"The entries of dataset '{dataset.name}'", problems, code="dataset.manifest")
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_text_atomically(Path(path), text + "\n")


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"The manifest '{path}' cannot be read ({error.strerror}).",
            code="dataset.missing",
            hint="Check the path.",
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"'{path}' is not JSON ({error}).",
            code="dataset.manifest",
            hint="Correct the file at the place named.",
        ) from error
    if not isinstance(content, dict):
        raise DatasetError(
            f"'{path}' holds a {type(content).__name__}; expected an object.",
            code="dataset.manifest",
            hint="A manifest is an object with format, name, license, cases and splits.",
        )
    return content


def _manifest_problems(content: Mapping[str, Any]) -> Iterator[str]:
    allowed = {**_DATASET_KEYS, "origin": str}
    shape = list(_shape_problems("manifest", content, _DATASET_KEYS, allowed))
    yield from shape
    if shape:
        return
    if content["format"] != MANIFEST_FORMAT:
        yield f"manifest: format {content['format']} is unknown, expected {MANIFEST_FORMAT}"
    for number, entry in enumerate(content["cases"], start=1):
        yield from _case_problems(number, entry)
    cases = [entry for entry in content["cases"] if isinstance(entry, dict)]
    for case_id, count in Counter(str(entry.get("id")) for entry in cases).items():
        if count > 1:
            yield f"case '{case_id}': {count} cases have this id"
    patients = {str(entry.get("patient")) for entry in cases}
    for scheme, parts in content["splits"].items():
        yield from _split_problems(scheme, parts, patients)


def _shape_problems(
    where: str, entry: object, required: Mapping[str, type], allowed: Mapping[str, type]
) -> Iterator[str]:
    """Missing, unknown and mistyped keys; a null counts as missing."""
    if not isinstance(entry, dict):
        yield f"{where}: expected an object, found {entry!r}"
        return
    for key in required:
        if entry.get(key) is None:
            yield f"{where}: '{key}' is missing"
    for key, value in entry.items():
        if key not in allowed:
            yield f"{where}: '{key}' is unknown"
        elif value is not None and not isinstance(value, allowed[key]):
            yield f"{where}: '{key}' must be a {allowed[key].__name__}, found {value!r}"


def _case_problems(number: int, entry: object) -> Iterator[str]:
    name = entry.get("id") if isinstance(entry, dict) else None
    where = f"case '{name}'" if name else f"case number {number}"
    shape = list(_shape_problems(where, entry, _CASE_KEYS, _CASE_KEYS | _CASE_OPTIONS))
    yield from shape
    if shape or not isinstance(entry, dict):
        return
    for key, choices in (("domain", DOMAINS), ("modality", MODALITIES)):
        if entry[key] not in choices:
            yield f"{where}: {key} '{entry[key]}' is not one of {', '.join(choices)}"
    if not entry["images"]:
        yield f"{where}: there is no image"
    for sequence, file in entry["images"].items():
        yield from _file_problems(f"{where}, image '{sequence}'", file)
    yield from _label_problems(where, entry)


def _label_problems(where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    source, annotated = entry.get("label_source"), entry.get("annotated") or []
    if entry.get("label_map") is None:
        if source or annotated:
            yield f"{where}: has label_source or annotated labels but no label_map"
        return
    yield from _file_problems(f"{where}, label map", entry["label_map"])
    if source not in LABEL_SOURCES:
        yield f"{where}: label_source '{source}' is not one of {', '.join(LABEL_SOURCES)}"
    if not annotated:
        yield f"{where}: 'annotated' must name the labels that were looked for"
    known = {label.id for label in organ_table()} | set(EXTRA_STRUCTURES)
    for label_id in annotated:
        if label_id not in known:
            yield f"{where}: there is no label '{label_id}'"


def _file_problems(where: str, file: object) -> Iterator[str]:
    shape = list(_shape_problems(where, file, {"path": str}, {"path": str, "sha256": str}))
    yield from shape
    if shape or not isinstance(file, dict):
        return
    path = PurePosixPath(file["path"])
    outside = ".." in path.parts or path.is_absolute()
    if outside or "\\" in file["path"] or ":" in file["path"]:
        yield f"{where}: '{file['path']}' must be relative to the manifest, inside its folder"
    digest = file.get("sha256")
    if digest is not None and not _DIGEST.fullmatch(digest):
        yield f"{where}: sha256 must be 64 lower-case hexadecimal digits, found '{digest}'"


def _split_problems(scheme: str, parts: object, known: set[str]) -> Iterator[str]:
    if not isinstance(parts, dict) or not all(_is_text_list(part) for part in parts.values()):
        yield f"split '{scheme}': expected lists of patients by part"
        return
    home: dict[str, str] = {}
    for part, patients in parts.items():
        for patient in patients:
            if patient not in known:
                yield f"split '{scheme}/{part}': there is no patient '{patient}'"
            if patient in home:
                yield f"split '{scheme}': patient '{patient}' is in '{home[patient]}' and '{part}'"
            home[patient] = part


def _is_text_list(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(item, str) for item in value)


def _case(entry: Mapping[str, Any]) -> Case:
    labels = entry.get("label_map")
    return Case(
        case_id=entry["id"],
        patient_id=entry["patient"],
        domain=entry["domain"],
        modality=entry["modality"],
        images={sequence: StoredFile(**file) for sequence, file in entry["images"].items()},
        label_map=StoredFile(**labels) if labels is not None else None,
        label_source=entry.get("label_source"),
        annotated=tuple(entry.get("annotated") or ()),
    )


def _document(dataset: Dataset) -> dict[str, Any]:
    return {
        "format": MANIFEST_FORMAT,
        "name": dataset.name,
        "license": dataset.license,
        "origin": dataset.origin,
        "cases": [
            {
                "id": case.case_id,
                "patient": case.patient_id,
                "domain": case.domain,
                "modality": case.modality,
                "images": {name: _file_entry(file) for name, file in case.images.items()},
                "label_map": _file_entry(case.label_map) if case.label_map else None,
                "label_source": case.label_source,
                "annotated": list(case.annotated),
            }
            for case in dataset.cases
        ],
        "splits": {
            scheme: {part: list(patients) for part, patients in parts.items()}
            for scheme, parts in dataset.splits.items()
        },
    }


def _file_entry(file: StoredFile) -> dict[str, str | None]:
    return {"path": file.path, "sha256": file.sha256}
