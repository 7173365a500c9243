"""What a filter of pseudo-labels measured and decided, case by case and organ by organ.

filter.json, beside the label maps of the artifact::

    {"format": 1, "filter": "volume-ratio", "cases": [
      {"case": "MR745_6_A", "patient": "MR745_6", "sequence": "A", "kept": false,
       "reason": "liver: 5210 mL is more than 3105 mL.",
       "findings": [{"rule": "volume-high", "organ": "liver", "kept": false, "measured": 5210.2,
                     "low": 345.0, "high": 3105.0, "unit": "mL", "reason": "..."}]}]}

Numbers may be null: not measured, or no limit on that side.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import DatasetError, reason_of
from FlareMRCore.events import json_values

FILTER_NAME = "filter.json"
FILTER_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One test of one organ.

    Attributes:
        rule: identifier, e.g. ``"volume-high"``; ``"volume"`` and the like for tests that passed.
        organ: id, several joined by "+", or empty for the label map as a whole.
        kept: whether the test was passed.
        measured: value in `unit`; None if there was nothing to measure.
        low: smallest accepted value in `unit`, or None.
        high: largest accepted value in `unit`, or None.
        unit: ``"mL"``, ``"mm"``, ``"Dice"`` or ``"share"``.
        reason: a sentence for people.
    """

    rule: str
    organ: str
    kept: bool
    measured: float | None
    low: float | None
    high: float | None
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class FilteredCase:
    """One case.

    Attributes:
        case_id: its id.
        patient_id: its patient.
        sequence: name of its first image.
        kept: whether its labels stay; otherwise it goes on as an unlabeled image.
        reason: why, in words.
        findings: all tests, failed ones first.
    """

    case_id: str
    patient_id: str
    sequence: str
    kept: bool
    reason: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterReport:
    """All cases that a filter looked at, in order; cases without labels are not among them.

    Attributes:
        filter: ``"volume-ratio"``, ``"uncertainty"``, ``"kidney"`` or ``"anatomy"``.
        cases: what became of each.
    """

    filter: str
    cases: tuple[FilteredCase, ...]

    @property
    def kept(self) -> int:
        """Number of cases whose labels stay."""
        return sum(case.kept for case in self.cases)

    def by_sequence(self) -> dict[str, tuple[int, int]]:
        """Kept and rejected cases of each sequence, in order of first occurrence."""
        found: dict[str, tuple[int, int]] = {}
        for case in self.cases:
            kept, rejected = found.get(case.sequence, (0, 0))
            found[case.sequence] = (kept + case.kept, rejected + (not case.kept))
        return found

    def failures(self) -> dict[str, int]:
        """How many cases failed each ``"rule/organ"``, most frequent first."""
        counts = Counter(
            key
            for case in self.cases
            for key in {f"{f.rule}/{f.organ}" for f in case.findings if not f.kept}
        )
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def write_filter_report(folder: Path, report: FilterReport) -> Path:
    """Write filter.json to `folder`; returns its path."""
    content = {
        "format": FILTER_FORMAT,
        "filter": report.filter,
        "cases": [_case_record(case) for case in report.cases],
    }
    text = json.dumps(json_values(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(folder / FILTER_NAME, text + "\n")
    return folder / FILTER_NAME


def read_filter_report(folder: Path) -> FilterReport:
    """The report of the artifact in `folder`.

    Raises:
        DatasetError: there is none, or it cannot be read.
    """
    path = folder / FILTER_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FILTER_FORMAT:
            raise ValueError(f"format {content['format']}, expected {FILTER_FORMAT}")
        return FilterReport(content["filter"], tuple(_case(case) for case in content["cases"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The filter report '{path}' cannot be read ({reason_of(error)}).",
            code="recipe.filter-report",
            hint="Run the recipe again.",
        ) from error


def _case_record(case: FilteredCase) -> dict[str, Any]:
    return {
        "case": case.case_id,
        "patient": case.patient_id,
        "sequence": case.sequence,
        "kept": case.kept,
        "reason": case.reason,
        "findings": [asdict(finding) for finding in case.findings],
    }


def _case(record: Mapping[str, Any]) -> FilteredCase:
    findings = tuple(Finding(**finding) for finding in record["findings"])
    return FilteredCase(
        record["case"],
        record["patient"],
        record["sequence"],
        record["kept"],
        record["reason"],
        findings,
    )
