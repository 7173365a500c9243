"""Data sets described by a CSV file with one image in each row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from FlareMRCore.data.dataset import DOMAINS, LABEL_SOURCES, MODALITIES, report_problems
from FlareMRCore.data.dataset_layouts import Found
from FlareMRCore.data.dataset_names import parse_sequence
from FlareMRCore.errors import DatasetError

REQUIRED = ("case", "patient", "modality", "image")
OPTIONAL = ("sequence", "label", "label_source", "annotated", "domain", "part")
CHOICES = {"modality": MODALITIES, "domain": DOMAINS, "label_source": LABEL_SOURCES}


def read_dataset_csv(path: Path) -> tuple[tuple[Found, ...], Mapping[str, tuple[str, ...]]]:
    """Cases of the file, and the annotated organs of the cases that name them (separated by ";").

    Paths are relative to the file. Rows of one case are its sequences. Columns: case, patient,
    modality, image, and if needed sequence, label, label_source, annotated, domain, part.

    Raises:
        DatasetError: unreadable; lists all mistakes.
    """
    rows = _rows(path)
    report_problems(f"The rows of '{path}'", list(_problems(rows, path)), code="dataset.csv")
    cases: dict[str, Found] = {}
    annotated: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = row["case"]
        sequence = row.get("sequence") or row["modality"]
        image = {parse_sequence(sequence) or sequence: path.parent / row["image"]}
        before = cases[name].images if name in cases else {}
        label = row.get("label")
        cases[name] = Found(
            name,
            row["patient"],
            row["modality"],
            {**before, **image},
            path.parent / label if label else (cases[name].label if name in cases else None),
            row.get("domain") or "source",
            row.get("label_source") or "manual",
            row.get("part") or None,
        )
        if row.get("annotated"):
            annotated[name] = tuple(organ.strip() for organ in row["annotated"].split(";"))
    return tuple(cases.values()), annotated


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = tuple(reader.fieldnames or ())
            rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(
            f"'{path}' cannot be read ({error}).", code="dataset.csv", hint="Check the file."
        ) from error
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in REQUIRED + OPTIONAL]
    if missing or unknown or not rows:
        raise DatasetError(
            f"'{path}' needs the columns {', '.join(REQUIRED)} and may have "
            f"{', '.join(OPTIONAL)}; found {', '.join(header) or 'none'} and {len(rows)} rows.",
            code="dataset.csv",
            hint="Correct the first line.",
        )
    return rows


def _problems(rows: list[dict[str, str]], path: Path) -> Iterator[str]:
    seen: dict[tuple[str, str], int] = {}
    patients: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        yield from (f"line {number}: '{key}' is empty" for key in REQUIRED if not row[key])
        for key, choices in CHOICES.items():
            if row.get(key) and row[key] not in choices:
                yield f"line {number}: {key} '{row[key]}' is not one of {', '.join(choices)}"
        for key in ("image", "label"):
            if row.get(key) and not (path.parent / row[key]).exists():
                yield f"line {number}: there is no file '{row[key]}'"
        place = (row["case"], row.get("sequence", ""))
        if place in seen:
            yield f"line {number}: case and sequence as in line {seen[place]}"
        seen[place] = number
        if patients.setdefault(row["case"], row["patient"]) != row["patient"]:
            yield f"line {number}: case '{row['case']}' belongs to two patients"
