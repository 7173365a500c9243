"""Looking for mistakes in a data set before anything is trained on it; all in one report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from FlareMRCore.data.dataset import EXTRA_STRUCTURES, Case, Dataset, StoredFile, sha256_of
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_with_warnings
from FlareMRCore.errors import FlareMRError
from FlareMRCore.imaging.anatomy import check_sides, is_upside_down
from FlareMRCore.imaging.pseudo_label_filters import organ_volumes_mm3
from FlareMRCore.progress import Reporter

SPACING_STEP_MM = 0.5
"""Width of a column of the spacing histogram."""
MAX_OBLIQUITY_DEG = 30.0
GRID_TOLERANCE_MM = 0.1
MIN_FOR_LARGEST = 5
"""With fewer organs annotated, the liver need not be the largest of them to be plausible."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark: `level` is ``"error"`` (do not train on it) or ``"warning"`` (have a look)."""

    level: str
    code: str
    case: str
    text: str


@dataclass(slots=True)
class DatasetReport:
    """What was found.

    Attributes:
        name: of the data set.
        cases: number of cases.
        findings: all remarks, errors first.
        spacings_mm: by axis (slices, rows, columns), images in each column of the histogram,
            keyed by its lower edge in mm.
        organs: cases in which each organ is annotated, and those in which it occurs.
        files: readable images, for the sheet of pictures.
    """

    name: str
    cases: int
    findings: list[Finding] = field(default_factory=list)
    spacings_mm: dict[str, dict[str, int]] = field(default_factory=dict)
    organs: dict[str, dict[str, int]] = field(default_factory=dict)
    files: int = 0

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.level == "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "errors": self.errors}


def check_dataset(
    dataset: Dataset, reporter: Reporter, *, held_out: Collection[str] = ()
) -> DatasetReport:
    """Report on all files of `dataset`: it never raises for what is wrong with them.

    Per case: readable, not constant, grid of the label map, label values, sides, head up, liver
    the largest organ, organs that are annotated and occur. Over all: duplicates by checksum,
    one person in two parts of a split, spacings.

    Args:
        dataset: what to check.
        reporter: progress; raises `Cancelled` when asked.
        held_out: ids of cases or patients that no part may train on, e.g. those of a benchmark.
    """
    report = DatasetReport(dataset.name, len(dataset.cases))
    for number, case in enumerate(dataset.cases):
        reporter.advance("check", number, len(dataset.cases))
        report.findings += _check_case(dataset, case, report)
    reporter.advance("check", len(dataset.cases), len(dataset.cases))
    report.findings += _duplicates(dataset)
    report.findings += _leaks(dataset, held_out)
    report.findings.sort(key=lambda finding: (finding.level, finding.case, finding.code))
    return report


def summarize_dataset(dataset: Dataset) -> dict[str, Any]:
    """Counts of what the manifest says; no file is opened."""
    cases = dataset.cases
    labeled = [case for case in cases if case.label_map is not None]
    return {
        "name": dataset.name,
        "license": dataset.license,
        "cases": len(cases),
        "patients": len({case.patient_id for case in cases}),
        "modalities": dict(Counter(case.modality for case in cases)),
        "sequences": dict(Counter(name for case in cases for name in case.images)),
        "domains": dict(Counter(case.domain for case in cases)),
        "labels": dict(Counter(str(case.label_source) for case in labeled)),
        "annotated": dict(Counter(organ for case in labeled for organ in case.annotated)),
        "splits": {
            scheme: {part: len(people) for part, people in parts.items()}
            for scheme, parts in dataset.splits.items()
        },
    }


def _check_case(dataset: Dataset, case: Case, report: DatasetReport) -> Iterator[Finding]:
    first: Geometry | None = None
    for sequence, file in case.images.items():
        try:
            result = read_with_warnings(dataset.path_of(file))
        except FlareMRError as error:
            yield Finding("error", error.code, case.case_id, str(error))
            continue
        report.files += 1
        geometry = result.volume.geometry
        first = first or geometry
        _count_spacing(report, geometry)
        for warning in result.warnings:
            yield Finding("warning", "image", case.case_id, f"{sequence}: {warning}")
        if geometry.obliquity_deg > MAX_OBLIQUITY_DEG:
            text = f"{sequence}: oblique by {geometry.obliquity_deg:.0f} degrees"
            yield Finding("warning", "oblique", case.case_id, text)
    if case.label_map is not None:
        try:
            labels = read_label_map(dataset.path_of(case.label_map))
        except FlareMRError as error:
            yield Finding("error", error.code, case.case_id, str(error))
            return
        yield from _check_labels(case, labels, first, report)


def _check_labels(
    case: Case, labels: LabelMap, grid: Geometry | None, report: DatasetReport
) -> Iterator[Finding]:
    if grid is not None and not grid.coincides(labels.geometry, tolerance_mm=GRID_TOLERANCE_MM):
        text = f"labels {_grid(labels.geometry)} and image {_grid(grid)} do not share a grid"
        yield Finding("error", "grid", case.case_id, text)
    ids = {label.value: label.id for label in organ_table()}
    ids |= {value: name for name, value in EXTRA_STRUCTURES.items() if name in case.annotated}
    present = {int(value) for value in np.flatnonzero(np.bincount(labels.array.ravel()))} - {0}
    unknown = sorted(present - set(ids))
    if unknown:
        yield Finding("error", "labels", case.case_id, f"unknown label values {unknown}")
    for value in sorted(set(ids) & present):
        _count(report.organs, ids[value], "occurs")
        if ids[value] not in case.annotated:
            text = f"{ids[value]} occurs but is not annotated"
            yield Finding("warning", "annotated", case.case_id, text)
    for organ in case.annotated:
        _count(report.organs, organ, "annotated")
        if organ not in {ids.get(value) for value in present}:
            text = f"{organ} is annotated and has no voxel"
            yield Finding("warning", "absent", case.case_id, text)
    yield from _check_anatomy(case, labels)


def _check_anatomy(case: Case, labels: LabelMap) -> Iterator[Finding]:
    for check in check_sides(labels):
        if not check.consistent:
            text = f"{check.right} lies {-check.gap_mm:.0f} mm to the left of {check.left}"
            yield Finding("error", "side", case.case_id, text)
    if is_upside_down(labels):
        yield Finding("error", "upside-down", case.case_id, "left kidney lies above the liver")
    volumes = organ_volumes_mm3(labels, case.annotated)
    occurring = {organ: volume for organ, volume in volumes.items() if volume > 0}
    largest = max(occurring, key=lambda organ: occurring[organ], default="")
    liver = organ_table().labels[0].id
    if liver in occurring and len(occurring) >= MIN_FOR_LARGEST and largest != liver:
        text = f"{largest} is larger than {liver}: are these FLARE's label values?"
        yield Finding("error", "largest", case.case_id, text)
    for label in organ_table():
        high = label.plausible_ml[1]
        volume_ml = occurring.get(label.id, math.nan) / 1000
        if volume_ml > high:
            text = f"{label.name} has {volume_ml:.0f} mL, more than {high:.0f}"
            yield Finding("warning", "volume", case.case_id, text)


def _duplicates(dataset: Dataset) -> Iterator[Finding]:
    """Images with the same bytes; between people of different parts they are errors."""
    owners: dict[str, list[Case]] = {}
    for case in dataset.cases:
        for file in case.images.values():
            digest = file.sha256 or _digest(dataset, file)
            if digest:
                owners.setdefault(digest, []).append(case)
    for cases in owners.values():
        if len(cases) < 2:
            continue
        names = ", ".join(case.case_id for case in cases)
        leaking = _separated(dataset, {case.patient_id for case in cases})
        text = f"the same image in {names}" + (f", across split '{leaking}'" if leaking else "")
        yield Finding("error" if leaking else "warning", "duplicate", cases[0].case_id, text)


def _digest(dataset: Dataset, file: StoredFile) -> str | None:
    path = dataset.path_of(file)
    return sha256_of(path) if path.is_file() else None


def _separated(dataset: Dataset, patients: set[str]) -> str | None:
    """A split that puts some of these patients into different parts."""
    for scheme, parts in dataset.splits.items():
        if sum(bool(patients & set(people)) for people in parts.values()) > 1:
            return scheme
    return None


def _leaks(dataset: Dataset, held_out: Collection[str]) -> Iterator[Finding]:
    """People in two parts, under ids that differ in case or lesion class only, or held out."""
    people: dict[str, set[str]] = {}
    for case in dataset.cases:
        people.setdefault(_person(case.patient_id), set()).add(case.patient_id)
    for patients in people.values():
        scheme = _separated(dataset, patients) if len(patients) > 1 else None
        if scheme:
            text = f"{', '.join(sorted(patients))} look like one person in split '{scheme}'"
            yield Finding("error", "leak", sorted(patients)[0], text)
    for scheme, parts in dataset.splits.items():
        counts = Counter(name for names in parts.values() for name in set(names))
        for name in sorted(name for name, count in counts.items() if count > 1):
            yield Finding("error", "leak", name, f"in several parts of split '{scheme}'")
        for part, names in parts.items():
            if part.startswith("train"):
                yield from _contamination(dataset, names, held_out, f"{scheme}/{part}")


def _contamination(
    dataset: Dataset, patients: Collection[str], held_out: Collection[str], where: str
) -> Iterator[Finding]:
    for case in dataset.cases:
        if case.patient_id in patients and {case.patient_id, case.case_id} & set(held_out):
            text = f"held out, and yet in '{where}'"
            yield Finding("error", "contamination", case.case_id, text)


def _person(patient_id: str) -> str:
    """A patient id without what varies between copies: upper case, the lesion class of LLD."""
    name = patient_id.lower()
    head, _, tail = name.rpartition("_")
    return head if head.startswith("mr") and tail.lstrip("-").isdigit() else name


def _count_spacing(report: DatasetReport, geometry: Geometry) -> None:
    for axis, spacing in zip(("slices", "rows", "columns"), geometry.spacing_mm, strict=True):
        low = math.floor(spacing / SPACING_STEP_MM + 1e-6) * SPACING_STEP_MM
        _count(report.spacings_mm, axis, f"{low:.1f}")


def _count(table: dict[str, dict[str, int]], row: str, column: str) -> None:
    counts = table.setdefault(row, {})
    counts[column] = counts.get(column, 0) + 1


def _grid(geometry: Geometry) -> str:
    return f"{geometry.shape} at {tuple(round(s, 2) for s in geometry.spacing_mm)} mm"


def report_lines(report: DatasetReport) -> tuple[str, ...]:
    """The report for people, one line each."""
    warnings = len(report.findings) - report.errors
    lines = [f"{report.name}: {report.cases} cases, {report.errors} errors, {warnings} warnings"]
    lines += [f"{f.level}: {f.case}: {f.text}" for f in report.findings]
    lines += [f"spacing of {axis} (mm): {_row(row)}" for axis, row in report.spacings_mm.items()]
    for organ, counts in report.organs.items():
        lines.append(f"{organ}: in {counts.get('occurs', 0)} of {counts.get('annotated', 0)} cases")
    return tuple(lines)


def _row(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: float(item[0]))
    return ", ".join(f"{low}: {count}" for low, count in ordered)
