"""Manifests: round trip, every mistake at once, files checked by hash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.data.dataset import Case, Dataset, StoredFile, sha256_of, verify_files
from FlareMRCore.data.dataset_manifest import load_dataset, save_dataset
from FlareMRCore.errors import DatasetError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for name in ("a_t1.nii", "a_t2.nii", "a_label.nii", "b.nii"):
        (tmp_path / name).write_bytes(name.encode())

    def stored(name: str) -> StoredFile:
        return StoredFile(name, sha256_of(tmp_path / name))

    cases = (
        Case(
            "a", "person-1", "source", "CT",
            {"t1": stored("a_t1.nii"), "t2": stored("a_t2.nii")},
            stored("a_label.nii"), "manual", ("liver", "spleen"),
        ),
        Case("b", "person-2", "target", "MR", {"t1": StoredFile("b.nii")}),
    )  # fmt: skip
    splits = {"default": {"train": ("person-1",), "validate": ("person-2",)}}
    return Dataset(tmp_path, "Größe 肝", "CC0-1.0", cases, splits, "made here")


def test_a_manifest_returns_what_was_saved(tmp_path, dataset):
    save_dataset(tmp_path / "dataset.json", dataset)
    assert load_dataset(tmp_path / "dataset.json") == dataset


def test_parts_are_found_by_patient(dataset):
    assert [case.case_id for case in dataset.part("default", "train")] == ["a"]
    assert dataset.path_of(dataset.case("b").images["t1"]).read_bytes() == b"b.nii"
    assert [file.path for file in dataset.case("a").files] == [
        "a_t1.nii", "a_t2.nii", "a_label.nii",
    ]  # fmt: skip
    with pytest.raises(DatasetError, match="default/train, default/validate"):
        dataset.part("default", "test")
    with pytest.raises(DatasetError, match="no case 'c'"):
        dataset.case("c")


def test_files_are_verified_together(tmp_path, dataset):
    verify_files(dataset)
    (tmp_path / "a_t2.nii").write_bytes(b"changed")
    (tmp_path / "b.nii").unlink()
    with pytest.raises(DatasetError) as caught:
        verify_files(dataset)
    message = str(caught.value)
    assert "2 problems" in message
    assert "case 'a': 'a_t2.nii' has sha256" in message
    assert "case 'b': 'b.nii' is missing" in message


def test_all_mistakes_are_in_one_message(tmp_path, dataset):
    path = tmp_path / "dataset.json"
    save_dataset(path, dataset)
    content = json.loads(path.read_text(encoding="utf-8"))
    first, second = content["cases"]
    first |= {"domain": "moon", "label_source": "guess", "annotated": ["liver", "tail"]}
    first["images"]["t1"] = {"path": "../secret.nii", "sha256": "ABC"}
    first["images"]["t2"] = {"file": "x"}
    second |= {"id": "a", "annotated": ["liver"], "modality": "US", "color": 1}
    content["cases"].append({"id": "c", "patient": "person-3"})
    content["cases"].append("text")
    content["splits"] = {
        "default": {"train": ["person-1"], "test": ["person-1", "person-9"]},
        "other": ["person-1"],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    for expected in (
        "domain 'moon' is not one of source, target",
        "label_source 'guess'",
        "there is no label 'tail'",
        "'../secret.nii' must be relative",
        "sha256 must be 64",
        "image 't2': 'path' is missing",
        "image 't2': 'file' is unknown",
        "case 'a': 2 cases have this id",
        "'color' is unknown",
        "case 'c': 'images' is missing",
        "case number 4: expected an object",
        "there is no patient 'person-9'",
        "patient 'person-1' is in 'train' and 'test'",
        "split 'other'",
    ):
        assert expected in str(caught.value), expected
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_map": None}, "no label_map"),
        ({"annotated": ()}, "'annotated' must name"),
        ({"modality": "US"}, "modality 'US'"),
        ({"images": {}}, "there is no image"),
    ],
)
def test_a_wrong_dataset_is_not_saved(tmp_path, dataset, change, message):
    wrong = replace(dataset, cases=(replace(dataset.cases[0], **change), dataset.cases[1]))
    with pytest.raises(DatasetError, match=message):
        save_dataset(tmp_path / "dataset.json", wrong)
    assert not (tmp_path / "dataset.json").exists()


@pytest.mark.parametrize("path", ["C:/x.nii", "/x.nii", "a\\b.nii", "a/../../b.nii"])
def test_paths_stay_inside_on_every_system(tmp_path, dataset, path):
    case = replace(dataset.cases[1], images={"t1": StoredFile(path)})
    with pytest.raises(DatasetError, match="relative to the manifest"):
        save_dataset(tmp_path / "d.json", replace(dataset, cases=(dataset.cases[0], case)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "dataset.missing"),
        ("{", "dataset.manifest"),
        ("[]", "dataset.manifest"),
        ("{}", "dataset.manifest"),
        ('{"format": 9, "name": "x", "license": "x", "cases": [], "splits": {}}',
         "dataset.manifest"),
    ],
)  # fmt: skip
def test_what_is_no_manifest(tmp_path, text, code):
    path = tmp_path / "dataset.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    assert caught.value.code == code
    assert "dataset.json" in str(caught.value)
