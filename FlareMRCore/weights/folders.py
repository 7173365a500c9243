"""Where weights lie on this computer, and how files get there whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath

from FlareMRCore.errors import WeightsError

FOLDER_VARIABLE = "FLAREMR_WEIGHTS_DIR"
"""Environment variable with the folder for weights; an explicit argument goes before it."""

_HINT = f"Choose a folder you may write to with the environment variable {FOLDER_VARIABLE}."


def bundled_folder() -> Path:
    """Folder of the weights that come with this package."""
    return Path(__file__).parent.parent / "resources" / "weights"


def default_folder(
    environment: Mapping[str, str] | None = None, platform: str | None = None
) -> Path:
    """Folder of this user's weights by the rules of the system; it need not exist.

    Source: XDG Base Directory Specification 0.8 (a relative path there counts as unset).
    """
    variables = os.environ if environment is None else environment
    system = sys.platform if platform is None else platform
    chosen = variables.get(FOLDER_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = Path.home()
    if system == "win32":
        base = _absolute(variables.get("LOCALAPPDATA")) or home / "AppData" / "Local"
    elif system == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = _absolute(variables.get("XDG_DATA_HOME")) or home / ".local" / "share"
    return base / "FlareMR" / "weights"


@contextmanager
def writing(path: PurePath, *, hint: str = _HINT) -> Iterator[None]:
    """Turn the system's errors of writing to `path` into ones that say what to do: `hint`.

    Raises:
        WeightsError: no permission, no space, or another failure of the file system.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise WeightsError(
                f"The disk is full: cannot write {path}.",
                code="weights.disk",
                hint=f"Free some space, or: {hint}",
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise WeightsError(
                f"No permission to write {path} ({reason}).", code="weights.permission", hint=hint
            ) from error
        raise WeightsError(
            f"Cannot write {path} ({reason}).", code="weights.write", hint=hint
        ) from error


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, if they are not there.

    Raises:
        WeightsError: it cannot be created.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _absolute(text: str | None) -> Path | None:
    if not text:
        return None
    path = Path(text)
    return path if path.is_absolute() else None
