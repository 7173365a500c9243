"""Where results go, checked before anything is computed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from FlareMRCore.data.label_io import sidecar_path
from FlareMRCore.data.volume_io import WRITABLE
from FlareMRCore.errors import UsageError

SUFFIXES = {
    "segmentation": WRITABLE,
    "confidence": WRITABLE,
    "statistics": (".csv", ".json"),
    "preview": (".png",),
    "report": (".json", ".html"),
}
"""Suffixes that each kind of output may have; `.seg.nrrd` is a `.nrrd`."""


def check_targets(inputs: Iterable[Path], **targets: Path | None) -> None:
    """Raise if an output could not be written, or would destroy an input or another output.

    Args:
        inputs: files and folders that are read.
        targets: files that will be written, by the kinds of `SUFFIXES`; None is not written.

    Raises:
        UsageError: the first problem found, with what to do.
    """
    wanted = {kind: path for kind, path in targets.items() if path is not None}
    for kind, path in wanted.items():
        _check_suffix(kind, path)
        check_folder(path.parent)
        if path.is_dir():
            raise UsageError(
                f"'{path}' is a folder; the {kind} needs the name of a file.",
                code="output.is-folder",
                hint="Add a file name.",
            )
    _check_distinct(wanted, [resolved(path) for path in inputs])


def check_folder(folder: Path) -> None:
    """Raise unless files can be made in `folder`, which is tried.

    Raises:
        UsageError: the folder is missing or may not be written to.
    """
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder '{folder}'.",
            code="output.folder-missing",
            hint="Create it or choose another folder.",
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_writable(folder, error) from error


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it if they are missing, and check that it can be used.

    Raises:
        UsageError: it cannot be made or may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"'{folder}' cannot be a folder: a file has that name, or that of a folder above it.",
            code="output.not-folder",
            hint="Choose another folder.",
        ) from error
    except OSError as error:
        raise _not_writable(folder, error) from error
    check_folder(folder)


def require_empty(folder: Path) -> None:
    """Raise if `folder` is there and holds anything.

    Raises:
        UsageError: it is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"'{folder}' is not an empty folder.",
            code="output.exists",
            hint="Choose a new folder with -o.",
        )


def has_segmentation_suffix(path: Path) -> bool:
    """True if the name says that it is a file with a segmentation."""
    return path.name.lower().endswith(WRITABLE)


def resolved(path: Path) -> str:
    """One spelling for each file, also on systems that ignore case."""
    return os.path.normcase(path.resolve())


def _check_suffix(kind: str, path: Path) -> None:
    suffixes = SUFFIXES[kind]
    if not path.name.lower().endswith(suffixes):
        raise UsageError(
            f"The {kind} '{path}' has none of the suffixes {', '.join(suffixes)}.",
            code="output.format",
            hint="Change the name of the file.",
        )


def _check_distinct(targets: dict[str, Path], inputs: list[str]) -> None:
    written: dict[str, str] = {}
    for kind, path in targets.items():
        paths = [path]
        if kind == "segmentation" and not path.name.lower().endswith(".seg.nrrd"):
            paths.append(sidecar_path(path))
        for name in map(resolved, paths):
            if name in inputs:
                raise UsageError(
                    f"The {kind} '{path}' would overwrite the input.",
                    code="output.is-input",
                    hint="Choose another name or folder.",
                )
            if name in written:
                raise UsageError(
                    f"'{path}' is named for the {written[name]} and for the {kind}.",
                    code="output.twice",
                    hint="Choose different names.",
                )
            written[name] = kind


def _not_writable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"Nothing can be written into '{folder}' ({error.strerror or error}).",
        code="output.not-writable",
        hint="Choose a folder you may write to.",
    )
