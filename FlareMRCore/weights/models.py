"""Models that describe themselves: files with weights and their entry beside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.checking import file_problem, sha256_of
from FlareMRCore.weights.folders import default_folder, make_folder
from FlareMRCore.weights.registry import (
    REGISTRY_NAME,
    WeightsEntry,
    WeightsFile,
    entries_as_text,
    parse_entries,
    read_entries,
)
from FlareMRCore.weights.sources import Candidate, install, open_source

# No identifier starts with a dot, so no entry can have this folder.
_UNPACKED = ".unpacked"

# Descriptions are a few kB; more would be something else by the same name.
_LONGEST_DESCRIPTION_BYTES = 4 << 20


def describe_file(path: Path, urls: tuple[str, ...] = ()) -> WeightsFile:
    """What an entry says about the file at `path`.

    Raises:
        OSError: the file cannot be read.
    """
    return WeightsFile(path.name, path.stat().st_size, sha256_of(path), urls)


def save_entry(entry: WeightsEntry, folder: Path) -> Path:
    """Write the description of `entry` beside its files; path of the description.

    Raises:
        WeightsError: `entry` has mistakes, or the folder cannot be made.
        UsageError: the folder cannot be written, or the disk is full.
    """
    path = folder / REGISTRY_NAME
    content = entries_as_text([entry])
    parse_entries(content.encode(), f"the description of '{entry.id}'")
    make_folder(folder)
    write_text_atomically(path, content)
    return path


def load_entry_from_path(
    path: Path, *, unpack_folder: Path | None = None
) -> tuple[WeightsEntry, Path]:
    """Entry of a model and the folder with its files, every file checked.

    Args:
        path: a folder with `weights.json` and the files it names, that `weights.json`, or a
            .zip archive of such a folder.
        unpack_folder: where archives are unpacked (once for each content); by default a folder
            among this user's weights.

    Raises:
        WeightsError: `path` is none of these, its description has mistakes, or files are
            missing or changed; every problem is listed.
    """
    if path.is_file() and path.suffix.lower() == ".zip":
        return _unpack(path, unpack_folder or default_folder() / _UNPACKED)
    folder = path.parent if path.name == REGISTRY_NAME else path
    description = folder / REGISTRY_NAME
    if not description.is_file():
        raise WeightsError(
            f"{path} is not a model: expected a folder with {REGISTRY_NAME} or a .zip archive "
            f"of one, found {_kind(path)}.",
            code="weights.not-a-model",
            hint="Export the model again, or name weights from 'weights list'.",
        )
    entry = _only(read_entries(description), str(description))
    problems = [file_problem(folder / file.name, file) for file in entry.files]
    _raise_problems(entry, str(path), [problem for problem in problems if problem])
    return entry, folder


def described_entries(candidates: Iterable[Candidate]) -> tuple[WeightsEntry, ...]:
    """Entries of all descriptions among the candidates.

    Raises:
        WeightsError: a description cannot be read or has mistakes.
    """
    entries: list[WeightsEntry] = []
    for candidate in candidates:
        if candidate.name == REGISTRY_NAME and candidate.size <= _LONGEST_DESCRIPTION_BYTES:
            with candidate.open() as stream:
                entries += parse_entries(stream.read(), candidate.place)
    return tuple(entries)


def install_model(
    entry: WeightsEntry, candidates: tuple[Candidate, ...], folder: Path, *, source: str
) -> None:
    """Copy all files of `entry` into `folder`, and its description last: it tells 'complete'.

    Raises:
        WeightsError: files are missing or changed, or the folder cannot be written.
    """
    problems: list[str] = []
    for file in entry.files:
        done, found = install(candidates, file, folder)
        if not done:
            problems += found or [f"{file.name} is missing."]
    _raise_problems(entry, source, problems)
    save_entry(entry, folder)


def _unpack(archive: Path, unpack_folder: Path) -> tuple[WeightsEntry, Path]:
    """Unpack an archive into a folder named after its content."""
    try:
        folder = unpack_folder / sha256_of(archive)[:16]
    except OSError as error:
        raise WeightsError(
            f"Cannot read {archive} ({error.strerror or error}).", code="weights.archive"
        ) from error
    with open_source(archive) as candidates:
        entry = _only(described_entries(candidates), str(archive))
        install_model(entry, candidates, folder, source=str(archive))
    return entry, folder


def _only(entries: tuple[WeightsEntry, ...], source: str) -> WeightsEntry:
    if len(entries) == 1:
        return entries[0]
    raise WeightsError(
        f"{source} describes {len(entries)} models ({REGISTRY_NAME}), expected one.",
        code="weights.not-a-model",
        hint="Use an archive or folder made by 'weights export' or by the training.",
    )


def _raise_problems(entry: WeightsEntry, source: str, problems: list[str]) -> None:
    if problems:
        listing = "".join(f"\n  {problem}" for problem in problems)
        raise WeightsError(
            f"The model '{entry.id}' in {source} is not complete:{listing}",
            code="weights.damaged",
            hint="\nCopy or export it again.",
        )


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder without it"
    return "another file" if path.exists() else "nothing there"
