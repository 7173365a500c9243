"""Weights on a memory stick: import and export without a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from FlareMRCore.errors import UsageError, WeightsError
from FlareMRCore.weights import sources
from Testing.core.weights.cases import CONTENT, entry_record, file_record, put

pytestmark = pytest.mark.usefixtures("no_network")


def test_export_and_import_are_a_round_trip(make_store, tmp_path: Path) -> None:
    store = make_store()
    put(store.bundled_folder / "ours")
    path = store.export("ours", tmp_path / "Stick für Übung" / "ours.zip")
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["coarse.pt", "fine.pt", "weights.json"]
    for bundled in (store.bundled_folder / "ours").iterdir():
        bundled.unlink()
    assert [entry.id for entry in store.import_weights(path)] == ["ours"]
    assert {name: p.read_bytes() for name, p in store.locate("ours").items()} == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_searched_for_the_content_whatever_the_names(make_store, tmp_path) -> None:
    store = make_store()
    stick = put(tmp_path / "stick" / "deep", ("coarse.pt",))
    (tmp_path / "stick" / "download (1).bin").write_bytes(CONTENT["fine.pt"])
    (stick / "fine.pt").write_bytes(b"an old one")
    (stick / "holiday.jpg").write_bytes(b"no weights")
    store.import_weights(tmp_path / "stick")
    assert store.verify("ours") == []


def test_files_one_by_one(make_store, tmp_path: Path) -> None:
    store = make_store()
    stick = put(tmp_path / "stick")
    store.import_weights(stick / "coarse.pt")
    assert store.state("ours") == "damaged"
    store.import_weights(stick / "fine.pt")
    assert store.state("ours") == "installed"
    assert (store.install_folder(store.entry("ours")) / "weights.json").is_file()


def test_a_wrong_hash_is_refused(make_store, tmp_path: Path) -> None:
    store = make_store()
    stick = put(tmp_path / "stick", ())
    (stick / "fine.pt").write_bytes(bytes(len(CONTENT["fine.pt"])))
    (stick / "coarse.pt").write_bytes(b"cut")
    with pytest.raises(WeightsError) as caught:
        store.import_weights(stick)
    text = str(caught.value)
    assert caught.value.code == "weights.import"
    assert f"expected {store.entry('ours').file('fine.pt').sha256}" in text
    assert "coarse.pt has 3 bytes, expected 102400" in text
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


def test_an_archive_cannot_write_outside(make_store, tmp_path: Path) -> None:
    store = make_store()
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("../../../escaped.txt", b"evil")
        opened.writestr("/tmp/absolute.txt", b"evil")
        opened.writestr("..\\..\\fine.pt", CONTENT["fine.pt"])
        opened.writestr("../coarse.pt", CONTENT["coarse.pt"])
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    store.import_weights(archive)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.name for path in new} == {*CONTENT, "weights.json"}
    assert all(store.folder in path.parents for path in new)


def test_broken_archives_are_named(make_store, tmp_path: Path) -> None:
    store = make_store()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match=r"broken\.zip cannot be read") as caught:
        store.import_weights(broken)
    assert caught.value.code == "weights.archive"
    with zipfile.ZipFile(broken, "w") as opened:
        opened.writestr("fine.pt", CONTENT["fine.pt"])
    content = bytearray(broken.read_bytes())
    content[1000] ^= 1
    broken.write_bytes(content)
    with pytest.raises(WeightsError, match="CRC"):
        store.import_weights(broken)
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


def test_an_archive_of_another_version_says_so(make_store, tmp_path: Path) -> None:
    files = [file_record("fine.pt", b"older", [])]
    old = make_store(entry_record("ours", files, version="0.9"))
    (put(old.bundled_folder / "ours", ()) / "fine.pt").write_bytes(b"older")
    archive = old.export("ours", tmp_path / "old.zip")
    with pytest.raises(WeightsError, match=r"holds version 0\.9 .*expected version 1\.0"):
        make_store().import_weights(archive)


def test_an_incomplete_model_is_refused(make_store, tmp_path: Path) -> None:
    store = make_store(entry_record("other", [file_record("fine.pt", b"mine", [])]))
    (put(store.bundled_folder / "other", ()) / "fine.pt").write_bytes(b"mine")
    archive = store.export("other", tmp_path / "other.zip")
    with zipfile.ZipFile(archive) as opened:
        (tmp_path / "weights.json").write_bytes(opened.read("weights.json"))
    with pytest.raises(WeightsError, match=r"'other' .* is not complete:\n  fine.pt is missing"):
        make_store().import_weights(tmp_path / "weights.json")


def test_nothing_at_the_path_and_too_much(make_store, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(WeightsError, match="There is no file or folder"):
        make_store().import_weights(tmp_path / "none")
    monkeypatch.setattr(sources, "_MOST_FILES", 1)
    with pytest.raises(WeightsError, match="holds more than 1 files"):
        make_store().import_weights(put(tmp_path / "stick"))


def test_export_wants_a_zip(make_store, tmp_path: Path) -> None:
    store = make_store()
    put(store.bundled_folder / "ours")
    with pytest.raises(UsageError, match=r"\.zip"):
        store.export("ours", tmp_path / "ours.tar")


def test_an_archive_is_written_where_its_user_says(make_store, tmp_path: Path) -> None:
    store = make_store()
    put(store.bundled_folder / "ours")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="Choose a folder you may write to") as caught:
        store.export("ours", tmp_path / "file" / "ours.zip")
    assert "FLAREMR_WEIGHTS_DIR" not in str(caught.value)
