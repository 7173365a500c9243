"""Where files are that artifacts know only by their content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import read_artifact
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.recipe_cases import FilePlaces
from FlareMRCore.pipeline.review_decisions import labels_file


@cache
def record_of(folder: Path) -> Mapping[str, Any]:
    """Record of the artifact in `folder`, read once: what is in the store never changes.

    Raises:
        DatasetError: it cannot be read.
    """
    return read_artifact(folder).record


def case_hashes(record: Mapping[str, Any]) -> Iterator[str]:
    """Hashes of all files of a case, from its record."""
    yield from (sha256 for _, sha256 in record["images"])
    if record["label_map"]:
        yield record["label_map"]


def find_files(store: ArtifactStore, wanted: Collection[str]) -> FilePlaces:
    """Places of the files with these hashes; what is nowhere is left out.

    They are looked for among corrected labels, then among the files of datasets that recipes have
    read and that have not changed since, then in all artifacts.

    Raises:
        DatasetError: the record of an artifact is damaged.
    """
    left = set(wanted)
    places: dict[str, Path] = {}

    def take(sha256: str, path: Path) -> None:
        if sha256 in left and path.is_file():
            places[sha256] = path
            left.discard(sha256)

    for sha256 in tuple(left):
        take(sha256, labels_file(store.root, sha256).path)
    for sha256, path in FileDigests(store.root / "digests.json").unchanged():
        take(sha256, path)
    for key in store.all_keys():
        if not left:
            break
        folder = store.folder_of(key)
        for name, sha256 in record_of(folder)["outputs"].items():
            take(sha256, folder / name)
    return FilePlaces(places)
