"""Files that appear complete or not at all: temporary file beside the target, fsync, rename."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from FlareMRCore.errors import UsageError
from FlareMRCore.events import json_values

PARTIAL_SUFFIX = ".partial"
"""Ending of temporary files; what a killed process leaves behind has it too."""


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Make `path` hold what `write` puts into the stream it is given.

    The target is replaced in one step: another process sees the old file or the new one, also
    if this process is killed or the machine loses power. After a failure the target is as it
    was and the temporary file is gone.

    Raises:
        UsageError: the folder is missing or cannot be written, or the disk is full.
    """
    temporary = path.parent / f".{path.name[:60]}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}"
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise _named(error, path) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text_atomically(path: Path, text: str) -> None:
    """Make `path` hold `text` as UTF-8; see `write_atomically`."""
    content = text.encode("utf-8")

    def write(stream: BinaryIO) -> None:
        stream.write(content)

    write_atomically(path, write)


def write_json_atomically(path: Path, value: object) -> None:
    """Make `path` hold `value`, turned by `json_values`, as JSON; see `write_atomically`."""
    write_text_atomically(path, json.dumps(json_values(value), indent=1) + "\n")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows cannot open folders and does without."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to sync folders; the file is in place nevertheless.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _named(error: OSError, path: Path) -> UsageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UsageError(
            f"The disk is full: '{path}' was not written.",
            code="output.disk-full",
            hint="Free some space or choose another folder.",
        )
    if not path.parent.is_dir():
        return UsageError(
            f"'{path}' was not written: the folder does not exist.",
            code="output.folder-missing",
            hint="Create it or choose another folder.",
        )
    return UsageError(
        f"'{path}' cannot be written ({error.strerror or error}).",
        code="output.not-writable",
        hint="Choose a folder you may write to, and close programs that use the file.",
    )
