"""The cases of a data set as rows for people, and its split by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from FlareMRCore.data.dataset import Case, Dataset
from FlareMRCore.data.dataset_build import split_patients
from FlareMRCore.errors import UsageError

SCHEME = "default"


def case_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """A row for each case: who, what, where its files lie, and its part of the split."""
    parts = {
        patient: part
        for part, patients in dataset.splits.get(SCHEME, {}).items()
        for patient in patients
    }
    return [_row(dataset, case, parts) for case in dataset.cases]


def with_split(dataset: Dataset, shares: Mapping[str, float], *, seed: int = 0) -> Dataset:
    """The data set with another default split; no patient is in two parts.

    Raises:
        UsageError: shares that are not positive.
    """
    split = split_patients([case.patient_id for case in dataset.cases], shares, seed=seed)
    return replace(dataset, splits={**dataset.splits, SCHEME: split})


def parse_shares(texts: Sequence[str]) -> dict[str, float]:
    """Shares from texts like ``train=0.8``.

    Raises:
        UsageError: a text is no share.
    """
    shares: dict[str, float] = {}
    for text in texts:
        part, _, share = text.partition("=")
        try:
            shares[part.strip()] = float(share)
        except ValueError:
            shares[""] = 0.0
    if "" in shares:
        raise UsageError(
            f"'{' '.join(texts)}' are no shares of a split.",
            code="usage.split",
            hint="Write e.g. train=0.7 validate=0.1 test=0.2.",
        )
    return shares


def _row(dataset: Dataset, case: Case, parts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "case": case.case_id,
        "patient": case.patient_id,
        "domain": case.domain,
        "modality": case.modality,
        "images": {name: dataset.path_of(file) for name, file in case.images.items()},
        "labels": dataset.path_of(case.label_map) if case.label_map else None,
        "label_source": case.label_source,
        "annotated": case.annotated,
        "part": parts.get(case.patient_id, ""),
    }
