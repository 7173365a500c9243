"""What is kept about one segmented case; written as JSON, read again when a batch goes on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from FlareMRCore import __version__
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import InputError
from FlareMRCore.events import json_values
from FlareMRCore.pipeline.statistics import OrganStatistics

FORMAT = "flaremr-case-1"

PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "connected-components-3d", "requests")


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One segmented case.

    Attributes:
        case: name of the case.
        input: path of the image.
        frame: frame of a 4-D image; None for a 3-D image.
        output: path of the segmentation.
        finished: local time, ISO 8601.
        shape: voxels (K, J, I) of the image.
        spacing_mm: voxel size (K, J, I).
        axis_codes: directions of the axes (K, J, I), e.g. ``"SAR"``.
        report: `SegmentationReport` as JSON values.
        organs: numbers of each organ.
        warnings: what reading and segmenting told.
        versions: of FlareMR, Python and the packages.
    """

    case: str
    input: str
    frame: int | None
    output: str
    finished: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axis_codes: str
    report: Mapping[str, Any]
    organs: tuple[OrganStatistics, ...]
    warnings: tuple[str, ...]
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {"format": FORMAT, **asdict(self)}


def write_record(path: Path, record: CaseRecord) -> None:
    """Write the record as JSON, atomically."""
    write_text_atomically(path, records_json([record], single=True))


def records_json(records: list[CaseRecord], *, single: bool) -> str:
    """One record, or a list of them under ``"cases"``."""
    contents = [record.as_dict() for record in records]
    content = json_values(contents[0] if single else {"cases": contents})
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_record(path: Path) -> CaseRecord:
    """The record in the file `path`.

    Raises:
        InputError: the file is missing or no record.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(FORMAT)
        organs = tuple(
            OrganStatistics(**{**organ, "flags": tuple(organ["flags"])})
            for organ in content.pop("organs")
        )
        keys = ("shape", "spacing_mm", "warnings")
        lists: dict[str, Any] = {key: tuple(content.pop(key)) for key in keys}
        return CaseRecord(**content, **lists, organs=organs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is not a record of a segmented case ({type(error).__name__}).",
            code="input.record",
            hint="Delete it and segment the case again.",
        ) from error


def software_versions() -> dict[str, str]:
    """Versions of FlareMR, Python, the system and the packages used; nothing is imported."""
    found = {"FlareMR": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["system"] = platform.platform()
    return found
