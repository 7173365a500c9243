"""The log of decisions: only grows, is what its names say, and answers what stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import DatasetError, GeometryError, InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.review_decisions import (
    ACCEPT,
    CORRECT,
    REJECT,
    UNDO,
    Decision,
    add_decision,
    entries_of,
    standing,
    store_labels,
)

GRID = Geometry((4, 5, 6), (3.0, 2.0, 2.0), (10.0, -20.0, 30.0))


@pytest.fixture
def case(tmp_path: Path) -> RecipeCase:
    write_volume(tmp_path / "t2.nii.gz", Volume(np.ones(GRID.shape, np.float32), GRID))
    image = DataFile(tmp_path / "t2.nii.gz", sha256_of(tmp_path / "t2.nii.gz"))
    return RecipeCase("a", "p", "target", "MR", {"t2": image}, DataFile(Path("x"), "1" * 64))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def decision(case: RecipeCase, kind: str, labels: str = "1" * 64, **more: str) -> Decision:
    return Decision(kind, case.case_id, case.image.sha256, labels, "key", "Ada", **more)


def labels_on(geometry: Geometry, path: Path, value: int = 3) -> Path:
    array = np.zeros(geometry.shape, np.uint8)
    array[1, 1, 1] = value
    write_label_map(path, LabelMap(array, geometry, organ_table()))
    return path


def test_nothing_stands_before_anything_was_decided(store: ArtifactStore, case: RecipeCase) -> None:
    assert entries_of(store.root, case) == ()
    assert standing((), "1" * 64) is None


def test_entries_are_kept_in_order_and_dated(store: ArtifactStore, case: RecipeCase) -> None:
    kinds = (ACCEPT, REJECT, ACCEPT, UNDO, UNDO)
    for number, kind in enumerate(kinds):
        add_decision(store, decision(case, kind))
        entries = entries_of(store.root, case)
        assert [entry.decision.kind for entry in entries] == list(kinds[: number + 1])
    assert all(entry.decision.time for entry in entries)
    assert {entry.file.sha256 for entry in entries} == {
        sha256_of(entry.file.path) for entry in entries
    }


def test_undo_takes_back_one_after_the_other(store: ArtifactStore, case: RecipeCase) -> None:
    stood = []
    for kind in (ACCEPT, REJECT, UNDO, UNDO, UNDO, REJECT):
        add_decision(store, decision(case, kind))
        entry = standing(entries_of(store.root, case), "1" * 64)
        stood.append(entry.decision.kind if entry else None)
    assert stood == [ACCEPT, REJECT, ACCEPT, None, None, REJECT]


def test_a_verdict_holds_for_the_map_that_was_seen_a_correction_for_the_image(
    store: ArtifactStore, case: RecipeCase
) -> None:
    add_decision(store, decision(case, REJECT))
    assert standing(entries_of(store.root, case), "2" * 64) is None
    add_decision(store, decision(case, CORRECT, "2" * 64, corrected="c" * 64))
    entries = entries_of(store.root, case)
    carried = standing(entries, "3" * 64)
    assert carried is not None
    assert carried.decision.corrected == "c" * 64
    own = standing(entries, "1" * 64)
    assert own is not None
    assert own.decision.kind == REJECT
    add_decision(store, decision(case, UNDO, "2" * 64))
    assert standing(entries_of(store.root, case), "3" * 64) is None


def test_another_case_with_the_same_image_has_its_own_log(
    store: ArtifactStore, case: RecipeCase
) -> None:
    add_decision(store, decision(case, ACCEPT))
    assert entries_of(store.root, replace(case, case_id="b")) == ()


@pytest.mark.parametrize("text", ["{", '{"format": 1, "kind": "accept"}'])
def test_a_damaged_entry_is_named(store: ArtifactStore, case: RecipeCase, text: str) -> None:
    entry = add_decision(store, decision(case, ACCEPT))
    entry.file.path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="000001-"):
        entries_of(store.root, case)


def test_a_changed_entry_is_noticed(store: ArtifactStore, case: RecipeCase) -> None:
    entry = add_decision(store, decision(case, ACCEPT))
    text = entry.file.path.read_text(encoding="utf-8")
    entry.file.path.write_text(text.replace("accept", "reject"), encoding="utf-8")
    with pytest.raises(DatasetError, match="not what its name says"):
        entries_of(store.root, case)


def test_corrected_labels_are_stored_by_content(
    store: ArtifactStore, case: RecipeCase, tmp_path: Path
) -> None:
    file, warning = store_labels(store, case, labels_on(GRID, tmp_path / "c.seg.nrrd"))
    assert warning == ""
    assert sha256_of(file.path) == file.sha256
    array = read_label_map(file.path).array
    assert int(array[1, 1, 1]) == 3
    assert int((array > 0).sum()) == 1
    again, _ = store_labels(store, case, labels_on(GRID, tmp_path / "c.nii.gz"))
    assert again == file
    assert not list((store.root / "tmp").glob("*"))


def test_corrected_labels_of_another_grid_are_refused(
    store: ArtifactStore, case: RecipeCase, tmp_path: Path
) -> None:
    moved = replace(GRID, origin=(10.5, -20.0, 30.0))
    with pytest.raises(GeometryError, match="grid"):
        store_labels(store, case, labels_on(moved, tmp_path / "moved.nii.gz"))
    with pytest.raises(InputError, match="no structure"):
        store_labels(store, case, labels_on(GRID, tmp_path / "empty.nii.gz", 0))
    assert not (store.root / "reviews").exists()
