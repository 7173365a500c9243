"""A correction joins a data set: complete, once, in the training part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.dataset import verify_files
from FlareMRCore.data.dataset_manifest import load_dataset, save_dataset
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import DatasetError, GeometryError, InputError, UsageError
from FlareMRCore.pipeline.file_lock import try_lock
from FlareMRCore.pipeline.training_case import NewCase, add_training_case

GRID = Geometry((4, 5, 6), (3.0, 2.0, 2.0), (10.0, -20.0, 30.0))


def make_pair(folder: Path, name: str = "a", geometry: Geometry = GRID) -> tuple[Path, Path]:
    array = np.arange(geometry.shape[0] * 30, dtype=np.float32).reshape(geometry.shape)
    write_volume(folder / f"{name}.nrrd", Volume(array + ord(name[0]), GRID))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 1:3, 1:3] = 1
    path = folder / f"{name}.seg.nrrd"
    write_label_map(path, LabelMap(labels, geometry, organ_table()))
    return folder / f"{name}.nrrd", path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "dataset.json"


def test_a_new_manifest_gets_the_case(tmp_path: Path, manifest: Path) -> None:
    image, labels = make_pair(tmp_path)
    case, warnings = add_training_case(manifest, image, labels, NewCase(sequence="t2"))
    assert warnings == ()
    dataset = load_dataset(manifest)
    verify_files(dataset)
    assert dataset.part("default", "train") == (case,)
    assert (case.case_id, case.patient_id, case.label_source) == ("a", "a", "corrected")
    assert case.domain == "target"
    assert len(case.annotated) == len(organ_table())
    stored = read_volume(dataset.path_of(case.images["t2"]))
    assert np.array_equal(stored.array, read_volume(image).array)
    assert case.label_map is not None
    array = read_label_map(dataset.path_of(case.label_map)).array
    assert np.array_equal(array, read_label_map(labels).array)
    assert sorted(p.name for p in manifest.parent.iterdir()) == ["corrections", "dataset.json"]


def test_more_cases_join_and_patients_stay_in_their_part(tmp_path: Path, manifest: Path) -> None:
    add_training_case(manifest, *make_pair(tmp_path), NewCase())
    dataset = load_dataset(manifest)
    save_dataset(manifest, replace(dataset, splits={"default": {"train": (), "test": ("a",)}}))
    add_training_case(manifest, *make_pair(tmp_path, "b"), NewCase(patient_id="a"))
    add_training_case(manifest, *make_pair(tmp_path, "c"), NewCase(patient_id="d"))
    dataset = load_dataset(manifest)
    verify_files(dataset)
    assert [case.case_id for case in dataset.part("default", "test")] == ["a", "b"]
    assert [case.case_id for case in dataset.part("default", "train")] == ["c"]


def test_the_same_case_or_image_joins_once(tmp_path: Path, manifest: Path) -> None:
    image, labels = make_pair(tmp_path)
    case, _ = add_training_case(manifest, image, labels, NewCase())
    before = manifest.read_bytes()
    with pytest.raises(DatasetError, match="case 'a' already"):
        add_training_case(manifest, image, labels, NewCase())
    stored = load_dataset(manifest).path_of(case.images["image"])
    with pytest.raises(DatasetError, match="is case 'a'"):
        add_training_case(manifest, stored, labels, NewCase(case_id="b"))
    assert manifest.read_bytes() == before


def test_what_cannot_join_leaves_no_trace(tmp_path: Path, manifest: Path) -> None:
    image, _ = make_pair(tmp_path)
    _, elsewhere = make_pair(tmp_path, "b", replace(GRID, origin=(0.0, 0.0, 0.0)))
    write_label_map(
        tmp_path / "empty.nii.gz", LabelMap(np.zeros(GRID.shape, np.uint8), GRID, organ_table())
    )
    with pytest.raises(GeometryError, match="grid"):
        add_training_case(manifest, image, elsewhere, NewCase())
    with pytest.raises(InputError, match="none of the organs"):
        add_training_case(manifest, image, tmp_path / "empty.nii.gz", NewCase())
    with pytest.raises(UsageError, match="cannot be the id"):
        add_training_case(manifest, image, elsewhere, NewCase(case_id="../x"))
    with pytest.raises(UsageError, match="There is no folder"):
        add_training_case(tmp_path / "no" / "d.json", image, elsewhere, NewCase())
    assert list(manifest.parent.iterdir()) == []


def test_two_writers_do_not_meet(tmp_path: Path, manifest: Path) -> None:
    image, labels = make_pair(tmp_path)
    with (
        try_lock(manifest.with_name(".dataset.json.lock")),
        pytest.raises(UsageError, match="Another process"),
    ):
        add_training_case(manifest, image, labels, NewCase())
    assert not manifest.exists()
