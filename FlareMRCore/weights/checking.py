"""Whether a file is the one that the registry means, with a memory for the answer."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import UsageError
from FlareMRCore.weights.registry import WeightsFile

BLOCK_BYTES = 1 << 20

# Time stamps of some file systems (FAT) are that coarse: a file changed within this time could
# change again without a new time stamp, so its hash is not worth keeping yet.
_SETTLED_AFTER_S = 2.0

_Known = dict[str, tuple[int, int, str]]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return copy_and_hash(stream)


def copy_and_hash(source: BinaryIO, target: BinaryIO | None = None) -> str:
    """SHA-256 of what is left in `source`; it is written to `target`, if there is one."""
    digest = hashlib.sha256()
    while block := source.read(BLOCK_BYTES):
        digest.update(block)
        if target is not None:
            target.write(block)
    return digest.hexdigest()


def file_problem(
    path: Path, expected: WeightsFile, hash_of: Callable[[Path], str] = sha256_of
) -> str:
    """What is wrong with the file at `path`, in a sentence; empty if nothing is."""
    try:
        if not path.is_file():
            return f"{path} is missing."
        size = path.stat().st_size
        if size != expected.size:
            return f"{path} has {size} bytes, expected {expected.size}."
        found = hash_of(path)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})."
    if found != expected.sha256:
        return f"{path} has the SHA-256 {found}, expected {expected.sha256}."
    return ""


@dataclass(frozen=True, slots=True)
class HashMemory:
    """Hashes of files that did not change since, kept in the small file `path`.

    A file counts as unchanged while its path, length and time of change are the same. The memory
    only saves time: if it is broken, foreign or not writable, hashes are computed again. Of two
    processes that write it at once, one wins; the other's hashes are computed again next time.
    """

    path: Path

    def sha256(self, file: Path) -> str:
        """SHA-256 of `file`, remembered or computed.

        Raises:
            OSError: the file cannot be read.
        """
        key = str(file.absolute())
        before = file.stat()
        known = self._read()
        if known.get(key, ())[:2] == (before.st_size, before.st_mtime_ns):
            return known[key][2]
        found = sha256_of(file)
        if time.time() - before.st_mtime > _SETTLED_AFTER_S:
            known[key] = (before.st_size, before.st_mtime_ns, found)
            self._write(known)
        return found

    def _read(self) -> _Known:
        try:
            tree = json.loads(self.path.read_bytes())
            return {
                str(name): (int(size), int(mtime_ns), str(digest))
                for name, (size, mtime_ns, digest) in tree.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, known: _Known) -> None:
        present = {name: facts for name, facts in known.items() if Path(name).exists()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(self.path, json.dumps(present, indent=1))
        except (OSError, UsageError):
            # A read-only folder (a network share, a classroom) is fine: it only costs time.
            return
