"""Hashes of files outside of the store, remembered as long as size and time do not change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.errors import DatasetError

Memory = dict[str, tuple[int, int, str]]


@dataclass(slots=True)
class FileDigests:
    """Answers with the SHA-256 of a file; `save` keeps the answers in the file `memory`."""

    memory: Path
    _known: Memory = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = _read(self.memory)

    def of(self, path: Path) -> str:
        """Lower-case hexadecimal SHA-256 of the file.

        Raises:
            DatasetError: there is no such file.
        """
        name = str(path.resolve())
        try:
            state = path.stat()
        except OSError as error:
            raise DatasetError(
                f"The file '{path}' cannot be read: {error.strerror}.",
                code="dataset.files",
                hint="Check the folder given with --data or --dataset.",
            ) from error
        size, time_ns, digest = self._known.get(name, (-1, -1, ""))
        if (size, time_ns) != (state.st_size, state.st_mtime_ns):
            digest = sha256_of(path)
            self._known[name] = (state.st_size, state.st_mtime_ns, digest)
        return digest

    def unchanged(self) -> Iterator[tuple[str, Path]]:
        """Hash and path of each known file that is as it was when it was hashed."""
        for name, (size, time_ns, digest) in self._known.items():
            path = Path(name)
            with suppress(OSError):
                state = path.stat()
                if (size, time_ns) == (state.st_size, state.st_mtime_ns):
                    yield digest, path

    def save(self) -> None:
        """Write what is known; nothing is written if nothing is known."""
        if not self._known:
            return
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self.memory, json.dumps(self._known, indent=0) + "\n")


def _read(path: Path) -> Memory:
    try:
        content: Mapping[str, list[object]] = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: (int(str(size)), int(str(time_ns)), str(digest))
            for name, (size, time_ns, digest) in content.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        # Only a memory: a damaged one costs the time to hash again.
        return {}
