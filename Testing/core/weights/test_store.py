"""Where files are found, what is said when they are not, and what is deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.models import describe_file, save_entry
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry
from FlareMRCore.weights.store import WeightsStore
from Testing.core.weights.cases import CONTENT, put

pytestmark = pytest.mark.usefixtures("no_network")


def user_model(folder: Path, weights_id: str = "mine", version: str = "2") -> WeightsEntry:
    """A model as the training leaves it."""
    folder.mkdir(parents=True)
    (folder / "fine.pt").write_bytes(b"state of a network")
    file = describe_file(folder / "fine.pt")
    spec = NetworkSpec("unet", "fine.pt", (3.0, 2.0, 2.0), None, (16, 16, 16), True)
    entry = WeightsEntry(weights_id, version, "Mine", "", "CC0-1.0", "", True, (file,), None, spec)
    save_entry(entry, folder)
    return entry


def test_the_real_store_opens_without_touching_the_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FLAREMR_WEIGHTS_DIR", str(tmp_path / "none"))
    store = WeightsStore()
    assert store.folder == tmp_path / "none"
    assert [entry.id for entry in store.entries()] == [e.id for e in store.registry.entries]
    assert not store.folder.exists()


def test_bundled_files_go_before_the_users(make_store) -> None:
    store = make_store()
    bundled = put(store.bundled_folder / "ours", ("coarse.pt",))
    own = put(store.install_folder(store.entry("ours")))
    expected = {"coarse.pt": bundled / "coarse.pt", "fine.pt": own / "fine.pt"}
    assert store.locate("ours") == expected
    assert store.state("ours") == "installed"
    put(bundled)
    assert store.state("ours") == "bundled"
    assert store.verify("ours") == []
    assert store.default_id() == "ours"


def test_a_damaged_bundled_file_is_replaced_by_the_users(make_store) -> None:
    store = make_store()
    bundled = put(store.bundled_folder / "ours")
    own = put(store.install_folder(store.entry("ours")), ("coarse.pt",))
    (bundled / "coarse.pt").write_bytes(b"cut")
    assert store.locate("ours")["coarse.pt"] == own / "coarse.pt"
    (problem,) = store.verify("ours")
    assert problem == f"{bundled / 'coarse.pt'} has 3 bytes, expected {len(CONTENT['coarse.pt'])}."


def test_missing_files_say_how_to_get_them(make_store) -> None:
    store = make_store()
    with pytest.raises(WeightsError) as caught:
        store.locate("ours")
    assert caught.value.code == "weights.missing"
    assert "coarse.pt is missing" in str(caught.value)
    assert "weights import PATH" in str(caught.value)
    fetchable = make_store(urls=lambda name: [f"https://weights.invalid/{name}"])
    with pytest.raises(WeightsError, match="weights fetch ours"):
        fetchable.locate("ours")


def test_damaged_files_say_expected_and_found(make_store) -> None:
    store = make_store()
    folder = put(store.install_folder(store.entry("ours")))
    (folder / "fine.pt").write_bytes(bytes(len(CONTENT["fine.pt"])))
    with pytest.raises(WeightsError, match=r"fine\.pt has the SHA-256 \w{64}, expected") as caught:
        store.locate("ours")
    assert caught.value.code == "weights.damaged"
    assert store.state("ours") == "damaged"


def test_verify_reads_files_that_keep_their_time_of_change(make_store) -> None:
    store = make_store()
    path = put(store.install_folder(store.entry("ours"))) / "fine.pt"
    os.utime(path, (1e9, 1e9))
    store.locate("ours")
    path.write_bytes(bytes(len(CONTENT["fine.pt"])))
    os.utime(path, (1e9, 1e9))
    assert len(store.verify("ours")) == 1


def test_locate_survives_a_broken_memory(make_store) -> None:
    store = make_store()
    put(store.install_folder(store.entry("ours")))
    (store.folder / ".verified.json").write_bytes(b"\x00{not json")
    assert set(store.locate("ours")) == set(CONTENT)


def test_unknown_weights_list_the_known(make_store) -> None:
    store = make_store()
    with pytest.raises(WeightsError, match=r"no weights 'other'. Known: ours\.") as caught:
        store.locate("other")
    assert caught.value.code == "weights.unknown"


def test_resolve_takes_identifiers_paths_and_nothing(make_store, tmp_path: Path) -> None:
    store = make_store()
    put(store.bundled_folder / "ours")
    mine = user_model(tmp_path / "große Übung")
    assert store.resolve()[0].id == "ours"
    assert store.resolve("ours")[1] == store.locate("ours")
    entry, files = store.resolve(str(tmp_path / "große Übung"))
    assert entry == mine
    assert files == {"fine.pt": tmp_path / "große Übung" / "fine.pt"}
    with pytest.raises(WeightsError, match="no weights 'nowhere'"):
        store.resolve("nowhere")


def test_imported_models_are_listed_and_removed(make_store, tmp_path: Path) -> None:
    store = make_store()
    entry = user_model(tmp_path / "model")
    assert store.import_weights(tmp_path / "model") == (entry,)
    assert [one.id for one in store.entries()] == ["ours", "mine"]
    assert store.resolve("mine")[1]["fine.pt"].read_bytes() == b"state of a network"
    store.remove("mine")
    assert [one.id for one in store.entries()] == ["ours"]
    assert not (store.folder / "mine").exists()


def test_a_broken_imported_model_does_not_hide_the_others(make_store, tmp_path: Path) -> None:
    store = make_store()
    user_model(tmp_path / "model")
    store.import_weights(tmp_path / "model")
    broken = store.folder / "bad" / "1" / "weights.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert [one.id for one in store.entries()] == ["ours", "mine"]
    assert str(broken) in store.broken_models()[0]


def test_remove_deletes_all_versions_and_nothing_else(make_store) -> None:
    store = make_store()
    folder = put(store.install_folder(store.entry("ours")))
    (folder / "coarse.pt.0011.free-1.part").write_text("rest")
    old = user_model(store.folder / "ours" / "0.9", "ours", "0.9")
    (store.folder / "ours" / "thesis.txt").write_text("precious")
    removed = store.remove("ours")
    assert {path.name for path in removed} == {*CONTENT, "coarse.pt.0011.free-1.part"}
    assert store.folder / "ours" / old.version / "fine.pt" in removed
    assert [path.name for path in (store.folder / "ours").rglob("*")] == ["thesis.txt"]


def test_a_description_cannot_make_remove_leave_its_folder(make_store, tmp_path: Path) -> None:
    store = make_store()
    folder = put(store.install_folder(store.entry("ours")))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    away = os.path.relpath(victim, folder)
    (folder / "weights.json").write_text(
        f'{{"weights": [{{"files": [{{"name": "{away}"}}, {{"name": "{victim}"}}]}}]}}'
    )
    store.remove("ours")
    assert victim.exists()


def test_bundled_and_absent_weights_cannot_be_removed(make_store) -> None:
    store = make_store()
    with pytest.raises(WeightsError, match="nothing of them is installed"):
        store.remove("ours")
    bundled = put(store.bundled_folder / "ours")
    with pytest.raises(WeightsError, match="part of FlareMR"):
        store.remove("ours")
    assert len(list(bundled.iterdir())) == len(CONTENT)


def test_importing_the_package_needs_no_network_library() -> None:
    code = (
        "import sys, FlareMRCore.weights.store, FlareMRCore.cli.weights;"
        "print([name for name in ('requests', 'urllib3', 'torch') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
