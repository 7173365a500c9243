"""Artifacts: what a stage made, under a key that says from what and how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.errors import DatasetError, reason_of
from FlareMRCore.events import json_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ARTIFACT_FORMAT = 1
RECORD_NAME = "artifact.json"
NOTES = "notes"
"""Folder of an artifact for times, curves and logs: kept, but no part of its content."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished folder of the store.

    Attributes:
        key: its name in the store, see `artifact_key`.
        folder: where its files lie.
        digest: of its content, see `content_digest`.
        record: all of its artifact.json.
    """

    key: str
    folder: Path
    digest: str
    record: Mapping[str, Any]


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces, ASCII, shortest form of each number."""
    return json.dumps(json_values(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, lower-case hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def artifact_identity(
    stage: str,
    version: int,
    parameters: DataclassInstance,
    inputs: Mapping[str, Sequence[str]],
    external: Mapping[str, str],
) -> dict[str, Any]:
    """Everything that decides about the content of an artifact, as JSON values.

    Args:
        stage: key of the table of stages.
        version: of the behavior of the stage.
        parameters: of the stage, defaults included.
        inputs: content digests by slot.
        external: digests of what is read from outside of the store, e.g. installed weights.
    """
    content: dict[str, Any] = json_values(
        {
            "stage": stage,
            "version": version,
            "parameters": asdict(parameters),
            "inputs": inputs,
            "external": external,
        }
    )
    return content


def artifact_key(identity: Mapping[str, Any]) -> str:
    """Name of the artifact with this identity: 64 hexadecimal digits."""
    return digest_of(identity)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below `folder`, by relative path with forward slashes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def content_digest(files: Mapping[str, str], cases: Sequence[str]) -> str:
    """Digest of an artifact's files (notes aside) and of its cases, whoever made them, and when."""
    kept = {name: sha for name, sha in files.items() if not name.startswith(f"{NOTES}/")}
    return digest_of({"files": kept, "cases": list(cases)})


def read_artifact(folder: Path) -> Artifact:
    """The artifact in `folder`.

    Raises:
        DatasetError: its record cannot be read.
    """
    path = folder / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Artifact(record["key"], folder, record["digest"], record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The artifact record '{path}' cannot be read ({reason_of(error)}).",
            code="store.record",
            hint="Remove that folder and run the recipe again.",
        ) from error
