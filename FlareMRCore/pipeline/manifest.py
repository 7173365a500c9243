"""State of a batch on disk: what is done, what failed and why, what is still to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import InputError

MANIFEST_NAME = "flaremr-batch.json"
FORMAT = "flaremr-batch-1"
PENDING, DONE, FAILED = "pending", "done", "failed"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """State of one case.

    Attributes:
        input: path of the image.
        frame: frame of a 4-D image, or None.
        output: path of the segmentation relative to the manifest.
        state: ``"pending"``, ``"done"`` or ``"failed"``.
        input_sha256: content of the image when it was segmented.
        output_sha256: content of the segmentation when it was written.
        seconds: time the case took.
        error: fields of the error event of a failed case.
    """

    input: str
    frame: int | None
    output: str
    state: str = PENDING
    input_sha256: str = ""
    output_sha256: str = ""
    seconds: float = 0.0
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A batch: the options that decide about the labels, and its cases by name."""

    options: Mapping[str, Any]
    cases: Mapping[str, CaseEntry] = field(default_factory=dict)

    def with_case(self, name: str, entry: CaseEntry) -> Manifest:
        """The manifest with one case set."""
        return replace(self, cases={**self.cases, name: entry})

    def count(self, state: str) -> int:
        """Number of cases in a state."""
        return sum(entry.state == state for entry in self.cases.values())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into `folder`, atomically."""
    content = {"format": FORMAT, **asdict(manifest)}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_text_atomically(folder / MANIFEST_NAME, text)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`, or None if there is none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / MANIFEST_NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(FORMAT)
        cases = {name: CaseEntry(**entry) for name, entry in content["cases"].items()}
        return Manifest(dict(content["options"]), cases)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is not the state of a batch ({type(error).__name__}: {error}).",
            code="batch.manifest",
            hint="Delete it to segment all cases again.",
        ) from error


def is_done(folder: Path, previous: Manifest | None, name: str, expected: CaseEntry) -> bool:
    """True if the case was finished before and neither input nor output changed since.

    Args:
        folder: of the manifest.
        previous: manifest of the earlier run with the same options, or None.
        name: of the case.
        expected: what the entry would be before it runs, with the checksum of the input.
    """
    found = previous.cases.get(name) if previous else None
    if found is None or found.state != DONE:
        return False
    same = (found.input_sha256, found.frame, found.output) == (
        expected.input_sha256,
        expected.frame,
        expected.output,
    )
    output = folder / found.output
    return same and output.is_file() and content_sha256(output) == found.output_sha256


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, of header and pixels of a MetaImage or NRRD pair, or of a folder.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_dir():
        return _combined(sorted(file for file in path.iterdir() if file.is_file()))
    if path.suffix.lower() in (".mhd", ".nhdr", ".hdr"):
        return _combined(sorted(path.parent.glob(f"{_escaped(path.stem)}.*")))
    return _file_sha256(path)


def _combined(files: list[Path]) -> str:
    listing = "".join(f"{_file_sha256(file)} {file.name}\n" for file in files)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)
