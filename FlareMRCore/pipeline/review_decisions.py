"""What people decided about pseudo-labels: a log beside the artifacts that only grows.

reviews/decisions/ab/<subject>/000001-<sha256>.json   a decision; its name holds its own hash
reviews/labels/ab/<sha256>/labels.nii.gz              corrected label maps, by content

The subject is a case with its first image, so that what was decided outlives the artifact that
was looked at: pruning the store leaves reviews alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.label_io import read_labels_with_warnings, write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_grid
from FlareMRCore.errors import DatasetError, GeometryError, InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import digest_of
from FlareMRCore.pipeline.case_labels import LABELS_NAME
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase

ACCEPT, REJECT, CORRECT, UNDO = "accept", "reject", "correct", "undo"
KINDS = (ACCEPT, REJECT, CORRECT, UNDO)
REVIEWS = "reviews"
GRID_TOLERANCE_MM = 0.01
"""Headers written by other programs round; a hundredth of a millimeter moves no voxel."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the log.

    Attributes:
        kind: one of `KINDS`; `UNDO` takes back the last one that still stands.
        case_id: case it is about.
        image: SHA-256 of the first image of the case.
        labels: SHA-256 of the label map that was looked at.
        artifact: key of the artifact that map was seen in.
        by: who decided.
        time: when, local time, ISO 8601.
        note: why, in words; may be empty.
        corrected: SHA-256 of the map that replaces `labels`; empty unless corrected.
        annotated: structures that were looked for in the corrected map.
    """

    kind: str
    case_id: str
    image: str
    labels: str
    artifact: str
    by: str
    time: str = ""
    note: str = ""
    corrected: str = ""
    annotated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision and the file that holds it."""

    decision: Decision
    file: DataFile


def add_decision(store: ArtifactStore, decision: Decision) -> Entry:
    """Append `decision` to the log of its case, dated now.

    Two processes that decide at once leave two entries; none is ever replaced.

    Raises:
        UsageError: it cannot be written.
    """
    folder = _subject_folder(store.root, decision.case_id, decision.image)
    folder.mkdir(parents=True, exist_ok=True)
    content = asdict(decision)
    content["time"] = decision.time or datetime.now().astimezone().isoformat(timespec="seconds")
    text = json.dumps({"format": 1, **content}, indent=1, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    path = folder / f"{_next_number(folder):06d}-{digest}.json"
    write_text_atomically(path, text)
    return read_entry(path)


def entries_of(store_root: Path, case: RecipeCase) -> tuple[Entry, ...]:
    """Everything that was decided about `case`, oldest first; empty if nothing was.

    Raises:
        DatasetError: an entry is damaged.
    """
    folder = _subject_folder(store_root, case.case_id, case.image.sha256)
    return tuple(read_entry(path) for path in sorted(folder.glob("*-*.json")))


def standing(entries: Sequence[Entry], labels: str) -> Entry | None:
    """The decision that holds for the label map with the hash `labels`; None if there is none.

    What was decided about this very map counts first. A correction of another map of the same
    image holds too, because it says what is there, whatever a network thinks of it later.
    """
    stacks: dict[str, list[tuple[int, Entry]]] = {}
    for number, entry in enumerate(entries):
        stack = stacks.setdefault(entry.decision.labels, [])
        if entry.decision.kind != UNDO:
            stack.append((number, entry))
        elif stack:
            stack.pop()
    tops = {name: stack[-1] for name, stack in stacks.items() if stack}
    if labels in tops:
        return tops[labels][1]
    carried = [top for top in tops.values() if top[1].decision.kind == CORRECT]
    return max(carried, key=lambda top: top[0])[1] if carried else None


def store_labels(store: ArtifactStore, case: RecipeCase, path: Path) -> tuple[DataFile, str]:
    """Put the corrected label map `path` into the store; the file, and what had to be decided.

    It is written on the very grid of the case's image, as FLARE's values.

    Raises:
        GeometryError: it does not lie on the grid of the image.
        InputError: it is no label map, or it is empty.
    """
    result = read_labels_with_warnings(path, structure_table())
    grid = read_grid(case.image.path)
    expected, found = grid.geometry, result.label_map.geometry
    if not expected.coincides(found, tolerance_mm=GRID_TOLERANCE_MM):
        raise GeometryError(
            f"The corrected labels '{path}' do not lie on the grid of '{case.image.path}': "
            f"expected {expected.shape} voxels of {expected.spacing_mm} mm, found {found.shape} "
            f"of {found.spacing_mm} mm.",
            code="review.grid",
            hint="Export the segmentation with the image as its reference.",
        )
    if not result.label_map.array.any():
        raise InputError(
            f"The corrected labels '{path}' hold no structure.",
            code="review.empty",
            hint="Reject the case if nothing in it is right.",
        )
    array = result.label_map.array
    organs = organ_table()
    table = structure_table() if int(array.max()) > max(organs.values) else organs
    with store.writing() as folder:
        write_label_map(folder / LABELS_NAME, LabelMap(array, expected, table), like=grid)
        digest = sha256_of(folder / LABELS_NAME)
        target = labels_file(store.root, digest)
        if not target.path.is_file():
            target.path.parent.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target.path.parent, ignore_errors=True)
            folder.rename(target.path.parent)
    return target, " ".join(result.warnings)


def labels_file(store_root: Path, sha256: str) -> DataFile:
    """Where the corrected label map with this hash lies."""
    folder = store_root / REVIEWS / "labels" / sha256[:2] / sha256
    return DataFile(folder / LABELS_NAME, sha256)


def _subject_folder(store_root: Path, case_id: str, image: str) -> Path:
    subject = digest_of({"case": case_id, "image": image})
    return store_root / REVIEWS / "decisions" / subject[:2] / subject


def _next_number(folder: Path) -> int:
    numbers = [int(path.name.partition("-")[0]) for path in folder.glob("*-*.json")]
    return max(numbers, default=0) + 1


def read_entry(path: Path) -> Entry:
    """The decision in a file of the log.

    Raises:
        DatasetError: it is damaged.
    """
    digest = path.stem.partition("-")[2]
    try:
        text = path.read_bytes()
        content: dict[str, Any] = json.loads(text)
        content.pop("format")
        content["annotated"] = tuple(content["annotated"])
        decision = Decision(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if sha256_of(path) != digest:
        raise _damaged(path, "its content is not what its name says")
    return Entry(decision, DataFile(path, digest))


def _damaged(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"The decision '{path}' cannot be read: {why}.",
        code="review.damaged",
        hint="Remove that file and decide again.",
    )
