"""Weights without a network: from a folder, an archive or a file, and into an archive."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from FlareMRCore.errors import UsageError, WeightsError
from FlareMRCore.weights.checking import file_problem
from FlareMRCore.weights.folders import writing
from FlareMRCore.weights.models import described_entries, install_model, save_entry
from FlareMRCore.weights.registry import REGISTRY_NAME, Registry, WeightsEntry, entries_as_text
from FlareMRCore.weights.sources import Candidate, install, open_source

FolderOf = Callable[[WeightsEntry], Path]
"""Where the files of an entry belong."""


def import_from(path: Path, registry: Registry, folder_of: FolderOf) -> tuple[WeightsEntry, ...]:
    """Take over every file at `path` that belongs to an entry; the entries that got files.

    Files of the registry's entries are known by content, so they may have any name and lie in
    any folder. Models that describe themselves and are not in the registry are taken over whole.

    Raises:
        WeightsError: nothing there belongs to an entry, a model is not complete or contradicts
            the registry, or the files cannot be written.
    """
    with open_source(path) as candidates:
        described = described_entries(candidates)
        _check_against(registry, described, path)
        foreign = [entry for entry in described if registry.entry(entry.id) is None]
        for entry in foreign:
            install_model(entry, candidates, folder_of(entry), source=str(path))
        known, problems = _import_known(registry, candidates, folder_of)
    if known or foreign:
        return (*known, *foreign)
    listing = "".join(f"\n  {problem}" for problem in problems)
    wanted = ", ".join(
        f"{file.name} of {entry.id}" for entry in registry.entries for file in entry.files
    )
    raise WeightsError(
        f"Nothing in '{path}' belongs to weights of this version of FlareMR, "
        f"expected one of: {wanted or 'none, the list is empty'}.{listing}",
        code="weights.import",
        hint="Download the files again on a computer that has a connection, "
        "or give the folder or archive of a model, which has a weights.json.",
    )


def export_to(path: Path, entry: WeightsEntry, files: Mapping[str, Path]) -> Path:
    """Write the files of `entry` and its description into the .zip archive `path`.

    An archive that is there is replaced once the new one is whole. It is not compressed: weights
    hardly shrink.

    Raises:
        UsageError: `path` does not end in .zip.
        WeightsError: it cannot be written.
    """
    if path.suffix.lower() != ".zip":
        raise UsageError(
            f"Weights are exported as a .zip archive, found '{path.name}'.", code="usage.export"
        )
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with writing(path, hint="Choose a folder you may write to."):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(part, "x", compression=zipfile.ZIP_STORED) as archive:
                archive.writestr(REGISTRY_NAME, entries_as_text([entry]))
                for name, file in files.items():
                    archive.write(file, name)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def _import_known(
    registry: Registry, candidates: tuple[Candidate, ...], folder_of: FolderOf
) -> tuple[list[WeightsEntry], list[str]]:
    """Entries of the registry that got files, and what was wrong with files of their names."""
    entries, problems = [], []
    for entry in registry.entries:
        results = [install(candidates, file, folder_of(entry)) for file in entry.files]
        problems += [problem for _, found in results for problem in found]
        if not any(done for done, _ in results):
            continue
        entries.append(entry)
        folder = folder_of(entry)
        if all(not file_problem(folder / file.name, file) for file in entry.files):
            save_entry(entry, folder)
    return entries, problems


def _check_against(registry: Registry, described: tuple[WeightsEntry, ...], path: Path) -> None:
    """Refuse models that have an id of the registry but other files."""
    for entry in described:
        known = registry.entry(entry.id)
        if known is None or {file.sha256 for file in entry.files} <= {
            file.sha256 for file in known.files
        }:
            continue
        raise WeightsError(
            f"{path} holds version {entry.version} of the weights '{entry.id}', "
            f"expected version {known.version}.",
            code="weights.other-version",
            hint="Export them with this version of FlareMR, or use them with '--weights PATH'.",
        )
