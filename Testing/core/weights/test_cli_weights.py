"""The verb `weights`, through the command line."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from FlareMRCore.cli import weights as verb
from FlareMRCore.cli.main import main
from FlareMRCore.events import parse_event
from Testing.core.weights.cases import CONTENT, Mirror, put


@pytest.fixture
def store(make_store, mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    made = make_store(urls=lambda name: [mirror.url(name)])
    monkeypatch.setenv("FLAREMR_WEIGHTS_DIR", str(made.folder))
    monkeypatch.setattr(
        verb,
        "WeightsStore",
        partial(type(made), registry=made.registry, bundled_folder=made.bundled_folder),
    )
    return made


def test_fetch_list_verify_remove(store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    assert "missing" in capsys.readouterr().out
    assert main(["weights", "fetch"]) == 0
    assert str(store.install_folder(store.entry("ours"))) in capsys.readouterr().out
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    assert "ours (default)" in out
    assert "installed" in out
    assert "0.4 MB" in out
    assert main(["weights", "verify"]) == 0
    assert "Verified: ours" in capsys.readouterr().out
    assert main(["weights", "remove", "ours"]) == 0
    assert main(["weights", "verify"]) == 0
    assert "no weights are installed" in capsys.readouterr().out


def test_verify_fails_with_the_code_of_weights(store, capsys) -> None:
    folder = put(store.install_folder(store.entry("ours")))
    (folder / "fine.pt").write_bytes(b"cut")
    assert main(["weights", "verify"]) == 4
    assert "fine.pt has 3 bytes, expected 288000" in capsys.readouterr().err


def test_export_and_import_with_another_folder(store, tmp_path: Path, capsys) -> None:
    put(store.bundled_folder / "ours")
    archive = tmp_path / "ours.zip"
    assert main(["weights", "export", "ours", str(archive)]) == 0
    other = tmp_path / "other folder"
    assert main(["weights", "import", str(archive), "--folder", str(other)]) == 0
    assert str(other / "ours" / "1.0") in capsys.readouterr().out
    assert (other / "ours" / "1.0" / "fine.pt").read_bytes() == CONTENT["fine.pt"]


def test_an_import_of_a_part_says_what_is_missing(store, tmp_path: Path, capsys) -> None:
    stick = put(tmp_path / "stick")
    assert main(["weights", "import", str(stick / "fine.pt")]) == 0
    assert "coarse.pt is missing" in capsys.readouterr().err


def test_events_instead_of_text(store, capsys) -> None:
    assert main(["weights", "fetch", "ours", "--json-progress"]) == 0
    events = [parse_event(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"progress", "result"}
    assert main(["weights", "list", "--json-progress"]) == 0
    (event,) = [parse_event(line) for line in capsys.readouterr().out.splitlines()]
    assert json.dumps(event).count('"state": "installed"') == 1
    assert main(["weights", "fetch", "other", "--json-progress"]) == 4
    (event,) = [parse_event(line) for line in capsys.readouterr().out.splitlines()]
    assert event["code"] == "weights.unknown"
