"""A lock that the system frees when its process ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` (made if needed) inside the block; False if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _acquire(descriptor)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """True if some process holds the lock file `path`."""
    if not path.exists():
        return False
    with try_lock(path) as free:
        return not free


def _acquire(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
