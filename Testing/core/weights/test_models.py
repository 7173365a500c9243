"""Models that describe themselves, as folders and archives."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.models import load_entry_from_path, save_entry
from Testing.core.weights.cases import CONTENT, put

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def model(make_store, tmp_path: Path) -> Path:
    folder = put(tmp_path / "my model")
    save_entry(make_store().entry("ours"), folder)
    return folder


@pytest.fixture
def archive(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "my model.ZIP"
    with zipfile.ZipFile(path, "w") as opened:
        for file in model.iterdir():
            opened.write(file, f"inner folder/{file.name}")
    return path


def test_a_folder_or_its_description_is_a_model(make_store, model: Path) -> None:
    expected = (make_store().entry("ours"), model)
    assert load_entry_from_path(model) == expected
    assert load_entry_from_path(model / "weights.json") == expected


def test_an_archive_is_unpacked_once(make_store, archive: Path, tmp_path: Path) -> None:
    entry, folder = load_entry_from_path(archive, unpack_folder=tmp_path / "u")
    assert entry == make_store().entry("ours")
    assert {path.name for path in folder.iterdir()} == {*CONTENT, "weights.json"}
    before = {path: path.stat().st_ino for path in folder.glob("*.pt")}
    assert load_entry_from_path(archive, unpack_folder=tmp_path / "u")[1] == folder
    assert {path: path.stat().st_ino for path in folder.glob("*.pt")} == before
    (folder / "fine.pt").write_bytes(b"damaged")
    load_entry_from_path(archive, unpack_folder=tmp_path / "u")
    assert (folder / "fine.pt").read_bytes() == CONTENT["fine.pt"]


def test_every_problem_is_listed(model: Path) -> None:
    (model / "coarse.pt").unlink()
    (model / "fine.pt").write_bytes(b"short")
    with pytest.raises(WeightsError) as caught:
        load_entry_from_path(model)
    assert "coarse.pt is missing" in str(caught.value)
    assert "fine.pt has 5 bytes, expected 288000" in str(caught.value)


@pytest.mark.parametrize("kind", ["nothing there", "a folder without it", "another file"])
def test_what_is_no_model_says_what_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.pt"
    if kind.startswith("a folder"):
        path.mkdir()
    elif kind == "another file":
        path.write_bytes(b"1")
    with pytest.raises(WeightsError, match=f"found {kind}") as caught:
        load_entry_from_path(path)
    assert caught.value.code == "weights.not-a-model"


def test_an_archive_without_description_is_no_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("fine.pt", b"1")
    with pytest.raises(WeightsError, match="describes 0 models"):
        load_entry_from_path(tmp_path / "a.zip", unpack_folder=tmp_path / "u")


def test_a_wrong_entry_is_not_saved(make_store, tmp_path: Path) -> None:
    entry = dataclasses.replace(make_store().entry("ours"), id="Not Lower Case")
    with pytest.raises(WeightsError, match="lower-case identifier"):
        save_entry(entry, tmp_path / "new")
    assert not (tmp_path / "new").exists()
