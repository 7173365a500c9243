"""The store of artifacts: complete folders by key, and places for what is not finished.

objects/ab/abc.../   complete by definition: published by one rename
work/<key>/          resumable state of a stage that runs or was stopped
tmp/                 half-written; whatever a killed process leaves is here and may go
runs/                one folder for each run of a recipe
digests.json         known hashes of files outside of the store
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_json_atomically, write_text_atomically
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifacts import RECORD_NAME, Artifact, read_artifact
from FlareMRCore.pipeline.file_lock import is_locked, try_lock

FAILURE_NAME = "failed.json"
DEFAULT_STORE = Path("flaremr-store")
"""Store of commands that name none, in the working folder."""


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """A store in the folder `root`, which is made when something is written."""

    root: Path

    def folder_of(self, key: str) -> Path:
        """Where the artifact `key` lies, or would lie."""
        return self.root / "objects" / key[:2] / key

    def find(self, key: str) -> Artifact | None:
        """The artifact, or None if there is none.

        Raises:
            DatasetError: its record is damaged.
        """
        folder = self.folder_of(key)
        return read_artifact(folder) if folder.is_dir() else None

    def all_keys(self) -> tuple[str, ...]:
        """Keys of all artifacts, sorted."""
        return tuple(sorted(path.name for path in (self.root / "objects").glob("??/*")))

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A new folder below tmp/ that is gone after the block unless it was published."""
        token = secrets.token_hex(8)
        folder = self.root / "tmp" / token
        lock = folder.with_suffix(".lock")
        try:
            with try_lock(lock):
                folder.mkdir(parents=True)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)

    def publish(self, key: str, folder: Path, record: Mapping[str, Any]) -> Artifact:
        """Make `folder`, from `writing`, the artifact `key`; returns what is in the store then.

        If another process was faster, its artifact stays: both were made from the same.
        """
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        write_text_atomically(folder / RECORD_NAME, text + "\n")
        target = self.folder_of(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        return read_artifact(target)

    @contextmanager
    def working(self, key: str, *, exclusive: bool) -> Iterator[Path]:
        """The folder for resumable state of `key`; locked, so that `is_running` answers.

        Raises:
            UsageError: `exclusive`, and another process works there.
        """
        with try_lock(self.root / "work" / f"{key}.lock") as free:
            if exclusive and not free:
                raise UsageError(
                    f"Another process is making artifact {key[:12]}.",
                    code="recipe.busy",
                    hint="Wait until it is done, then run this again.",
                )
            yield self.work_folder(key)

    def work_folder(self, key: str) -> Path:
        """The folder for resumable state of `key`, made if needed; see `working`."""
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def is_running(self, key: str) -> bool:
        """True while some process is inside `working` for `key`."""
        return is_locked(self.root / "work" / f"{key}.lock")

    def was_interrupted(self, key: str) -> bool:
        """True if resumable state of `key` was left behind."""
        folder = self.root / "work" / key
        return folder.is_dir() and any(path.name != FAILURE_NAME for path in folder.iterdir())

    def note_failure(self, key: str, fields: Mapping[str, Any]) -> None:
        """Keep why `key` could not be made; a later success forgets it."""
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomically(folder / FAILURE_NAME, fields)

    def failure(self, key: str) -> Mapping[str, Any] | None:
        """Why `key` could not be made the last time; None if it did not fail."""
        try:
            text = (self.root / "work" / key / FAILURE_NAME).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        content: Mapping[str, Any] = json.loads(text)
        return content

    def clear_work(self, key: str) -> None:
        """Forget resumable state and failure of `key`."""
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        if os.name == "posix":  # elsewhere an open file cannot go; pruning takes it
            (self.root / "work" / f"{key}.lock").unlink(missing_ok=True)
