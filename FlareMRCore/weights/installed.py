"""What lies in a user's folder: imported models, and what may be deleted again."""

from __future__ import annotations

import json
from pathlib import Path

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.registry import REGISTRY_NAME, Registry, WeightsEntry, read_entries


def imported_models(folder: Path, registry: Registry) -> tuple[dict[str, WeightsEntry], list[str]]:
    """Imported models that are not in the registry by identifier, and what is wrong with others.

    Of several versions of one model, the one imported last counts. Both results are empty if the
    folder is not there.
    """
    models: dict[str, WeightsEntry] = {}
    problems = []
    for path in sorted(folder.glob(f"*/*/{REGISTRY_NAME}"), key=_time_of_change):
        try:
            entries = read_entries(path)
        except WeightsError as error:
            problems.append(str(error))
            continue
        for entry in entries:
            if (entry.id, entry.version) != (path.parent.parent.name, path.parent.name):
                problems.append(f"{path} describes '{entry.id}' {entry.version}: wrong folder.")
            elif registry.entry(entry.id) is None:
                models[entry.id] = entry
    return dict(sorted(models.items())), problems


def delete_files(folder: Path, names: set[str]) -> list[Path]:
    """Delete the files `names`, those the folder's description names, it, and parts of them.

    Raises:
        OSError: a file cannot be deleted.
    """
    names = names | _described_names(folder / REGISTRY_NAME)
    removed = []
    for name in sorted(names):
        path = folder / name
        if path.is_file():
            path.unlink()
            removed.append(path)
        for part in folder.glob(f"{name}.*.part"):
            part.unlink()
            removed.append(part)
    (folder / REGISTRY_NAME).unlink(missing_ok=True)
    delete_if_empty(folder)
    return removed


def delete_if_empty(folder: Path) -> None:
    """Delete a folder if there is nothing in it.

    Raises:
        OSError: it is empty and cannot be deleted.
    """
    if folder.is_dir() and not folder.is_symlink() and next(folder.iterdir(), None) is None:
        folder.rmdir()


def _described_names(description: Path) -> set[str]:
    """Names in a description, whatever its version; those with a path in them do not count."""
    try:
        tree = json.loads(description.read_bytes())
        names = [file["name"] for entry in tree["weights"] for file in entry["files"]]
    except (OSError, ValueError, TypeError, KeyError):
        return set()
    return {
        name
        for name in names
        if isinstance(name, str)
        and name == Path(name).name
        and "\\" not in name
        and "*" not in name
    }


def _time_of_change(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
