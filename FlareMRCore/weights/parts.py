"""Half-downloaded files: who owns one, and who may go on with it.

Each download writes a part file of its own, so two processes at once never write to the same
file, and no lock can be left behind. The owner's computer and process number are in the name:

    NAME.SHA8.HOST-PID-TOKEN.part

A process that ends in order renames its part to `...free-TOKEN.part`. A later download takes
over a part that is free, or whose owner died (kill -9, power cut), by renaming it to a name of
its own: renaming is atomic, so one taker wins and the others find nothing. Two downloads at once
cost traffic twice, and whoever ends last replaces the file by the same content.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
from pathlib import Path

from FlareMRCore.weights.registry import WeightsFile

# Much longer than the longest wait for a server, so a living download looks younger. Needed for
# parts of other computers that share the folder, and of process numbers in use again.
_ABANDONED_AFTER_S = 900.0


def claim_part(folder: Path, file: WeightsFile) -> Path:
    """A part file in `folder` that is this call's alone: a taken-over one, or a new empty one.

    Raises:
        OSError: the folder cannot be written.
    """
    mine = _part(folder, file, f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}")
    for candidate in abandoned_parts(folder, file):
        try:
            candidate.rename(mine)
        except OSError:
            # Somebody was faster, or on Windows: its owner is alive and has it open.
            continue
        if mine.stat().st_size <= file.size:
            return mine
        mine.unlink()
    mine.touch(exist_ok=False)
    return mine


def release_part(part: Path, file: WeightsFile) -> None:
    """Leave a part for the next download, or delete it if there is nothing in it."""
    try:
        if part.stat().st_size == 0:
            part.unlink()
        else:
            part.rename(_part(part.parent, file, f"free-{secrets.token_hex(4)}"))
    except FileNotFoundError:
        return


def abandoned_parts(folder: Path, file: WeightsFile) -> list[Path]:
    """Parts of `file` that nobody writes to, the longest first."""
    stem = f"{file.name}.{file.sha256[:8]}."
    sizes: dict[Path, int] = {}
    for path in folder.glob(f"{stem}*.part"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        owner = path.name[len(stem) : -len(".part")]
        if _is_abandoned(owner, age_s=time.time() - status.st_mtime):
            sizes[path] = status.st_size
    return sorted(sizes, key=sizes.__getitem__, reverse=True)


def _is_abandoned(owner: str, *, age_s: float) -> bool:
    if owner.startswith("free-") or age_s > _ABANDONED_AFTER_S:
        return True
    match = re.fullmatch(r"(.*)-(\d+)-[0-9a-f]+", owner)
    if match is None or match[1] != _host():
        return False
    return not _is_alive(int(match[2]))


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        # There, os.kill would interrupt the process. Nor is it needed: a file that is open
        # cannot be renamed, so a part of a living process cannot be taken.
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _part(folder: Path, file: WeightsFile, owner: str) -> Path:
    return folder / f"{file.name}.{file.sha256[:8]}.{owner}.part"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node())[:20] or "host"
