"""Files that a user hands over: in a folder, in a .zip archive, or one alone."""

from __future__ import annotations

import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.checking import copy_and_hash, file_problem
from FlareMRCore.weights.folders import make_folder, writing
from FlareMRCore.weights.registry import WeightsFile

# More is not a folder of weights but, say, somebody's home folder chosen by mistake.
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be one of those wanted.

    Attributes:
        name: file name without folder, whatever folder it lies in.
        place: how to name it in messages.
        size: length in bytes (of a member of an archive: unpacked).
        open: opens it for reading.
    """

    name: str
    place: str
    size: int
    open: Callable[[], BinaryIO]


@contextmanager
def open_source(path: Path) -> Iterator[tuple[Candidate, ...]]:
    """The files in a folder and those below it, in a .zip archive, or the one file `path`.

    Names inside an archive are only compared, never used as paths, so an archive cannot write
    outside the folder of the weights.

    Raises:
        WeightsError: there is nothing at `path`, or it cannot be read.
    """
    try:
        if path.is_file() and path.suffix.lower() == ".zip":
            # By suffix: files with weights are zip archives inside, too.
            with zipfile.ZipFile(path) as archive:
                yield tuple(_members(archive, path))
        elif path.is_dir():
            yield tuple(_files(path))
        elif path.is_file():
            yield (_file(path),)
        else:
            raise WeightsError(
                f"There is no file or folder '{path}'.",
                code="weights.no-such-path",
                hint="Check the path.",
            )
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        # RuntimeError: an archive with a password, or packed by an unknown method.
        raise WeightsError(
            f"{path} cannot be read ({error}).",
            code="weights.archive",
            hint="Copy or download it again.",
        ) from error


def install(
    candidates: Iterable[Candidate], file: WeightsFile, folder: Path
) -> tuple[bool, list[str]]:
    """Copy `file` into `folder` from the candidate whose content is right, whatever its name.

    A file that is there and right is not written again: it may be in use.

    Returns:
        Whether a candidate was right, and else what is wrong with candidates of its name.

    Raises:
        WeightsError: `folder` cannot be written.
    """
    target = folder / file.name
    present = not file_problem(target, file)
    problems = []
    for candidate in sorted(candidates, key=lambda one: one.name != file.name):
        found = f"has {candidate.size} bytes, expected {file.size}"
        if candidate.size == file.size:
            with candidate.open() as stream:
                digest = copy_and_hash(stream) if present else _copy(stream, file, target)
            if digest == file.sha256:
                return True, []
            found = f"has the SHA-256 {digest}, expected {file.sha256}"
        if candidate.name == file.name:
            problems.append(f"{candidate.place} {found}.")
    return False, problems


def _copy(source: BinaryIO, file: WeightsFile, target: Path) -> str:
    """SHA-256 of the source, which becomes `target` if that is the expected one."""
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    with writing(target):
        try:
            with part.open("xb") as sink:
                digest = copy_and_hash(source, sink)
            if digest == file.sha256:
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return digest


def _files(folder: Path) -> Iterator[Candidate]:
    count = 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        count += 1
        if count > _MOST_FILES:
            raise WeightsError(
                f"{folder} holds more than {_MOST_FILES} files.",
                code="weights.large-folder",
                hint="Name the folder or the .zip file with the weights only.",
            )
        yield _file(path)


def _file(path: Path) -> Candidate:
    return Candidate(path.name, str(path), path.stat().st_size, lambda: path.open("rb"))


def _members(archive: zipfile.ZipFile, path: Path) -> Iterator[Candidate]:
    for info in archive.infolist():
        if not info.is_dir():
            # Both separators: some programs write archives with the one of Windows.
            name = info.filename.replace("\\", "/").rpartition("/")[2]
            yield Candidate(
                name, f"{path}: {info.filename}", info.file_size, _opener(archive, info)
            )


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, archive.open(info))
