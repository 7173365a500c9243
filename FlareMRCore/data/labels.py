"""Label tables: what each label value means. `resources/labels.json` is the only list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import UsageError


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term, e.g. scheme ``"SCT"``, value ``"10200004"``, meaning ``"Liver"``."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Label:
    """One structure.

    Attributes:
        value: number in label maps and index of the network's output channel.
        id: stable lower-case identifier, e.g. ``"right_kidney"``.
        name: what people read, e.g. ``"right kidney"``.
        color: RGB, 0 to 255.
        type_code: SNOMED CT code of the structure.
        modifier_code: laterality, if the structure is paired.
        tolerance_mm: tolerance of the FLARE challenge's normalized surface distance.
        plausible_ml: volume range outside of which the result deserves a look (adults).
    """

    value: int
    id: str
    name: str
    color: tuple[int, int, int]
    type_code: Code
    modifier_code: Code | None
    tolerance_mm: float
    plausible_ml: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of a label map, in order of their values; 0 is background and not listed."""

    labels: tuple[Label, ...]

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def values(self) -> tuple[int, ...]:
        """Label values in order."""
        return tuple(label.value for label in self.labels)

    def by_id(self, label_id: str) -> Label:
        """The label called `label_id`; spaces and dashes count as underscores.

        Raises:
            UsageError: no such label; the message lists those there are.
        """
        wanted = label_id.strip().lower().replace(" ", "_").replace("-", "_")
        for label in self.labels:
            if label.id == wanted:
                return label
        known = ", ".join(label.id for label in self.labels)
        raise UsageError(f"There is no organ '{label_id}'. Known: {known}.", code="usage.organ")

    def subset(self, label_ids: tuple[str, ...]) -> LabelTable:
        """Table of the named labels, values unchanged, in order of value."""
        chosen = {self.by_id(label_id).value for label_id in label_ids}
        return LabelTable(tuple(label for label in self.labels if label.value in chosen))


def organ_table() -> LabelTable:
    """The 13 organs of the FLARE challenges with FLARE's ids 1 to 13."""
    return LabelTable(tuple(_label(entry) for entry in _resource()["organs"]))


def structure_table() -> LabelTable:
    """All that label maps of a training may hold: the organs, 14 for tumors, 255 for ignored.

    255 marks voxels whose label is too doubtful to teach anything.
    """
    others = tuple(_label(entry) for entry in _resource()["others"])
    return LabelTable((*organ_table(), *others))


def remap_names() -> tuple[str, ...]:
    """Names of the foreign label conventions that `remap` understands."""
    return tuple(_resource()["remaps"])


def remap(array: NDArray[np.integer[Any]], convention: str) -> NDArray[np.uint8]:
    """Label values of another convention as FLARE ids, same shape; what FLARE lacks becomes 0.

    Raises:
        UsageError: unknown convention.
    """
    tables: Mapping[str, Mapping[str, str]] = _resource()["remaps"]
    if convention not in tables:
        raise UsageError(
            f"There is no label convention '{convention}'. Known: {', '.join(tables)}.",
            code="usage.convention",
        )
    if array.size and int(array.min()) < 0:
        raise UsageError("Label values must not be negative.", code="usage.labels")
    lookup = np.zeros(max(int(array.max(initial=0)), 255) + 1, dtype=np.uint8)
    table = organ_table()
    for foreign_value, label_id in tables[convention].items():
        lookup[int(foreign_value)] = table.by_id(label_id).value
    mapped: NDArray[np.uint8] = lookup[array]
    return mapped


def _label(entry: Mapping[str, Any]) -> Label:
    modifier = entry.get("modifier")
    red, green, blue = entry["color"]
    low, high = entry["plausible_ml"]
    return Label(
        value=entry["value"],
        id=entry["id"],
        name=entry["name"],
        color=(red, green, blue),
        type_code=Code(*entry["type"]),
        modifier_code=Code(*modifier) if modifier else None,
        tolerance_mm=entry["tolerance_mm"],
        plausible_ml=(low, high),
    )


@cache
def _resource() -> Mapping[str, Any]:
    text = files("FlareMRCore").joinpath("resources/labels.json").read_text(encoding="utf-8")
    content: Mapping[str, Any] = json.loads(text)
    return content
