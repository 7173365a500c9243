"""Runs in processes of their own: started, read, stopped, killed, resumed from the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.pipeline.run_reading import RunReading, read_run
from Testing.core.pipeline.recipe_texts import TWO

TIMEOUT_S = 60.0


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(TWO, encoding="utf-8")
    return path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: object, code: int = 0) -> Any:
        assert main(["recipe", *map(str, words), "--json"]) == code
        out = capsys.readouterr().out
        return json.loads(out) if code == 0 else out

    return run


def wait_for_end(folder: Path) -> RunReading:
    deadline = time.monotonic() + TIMEOUT_S
    while read_run(folder).state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return read_run(folder)


def test_a_started_run_is_read_by_everybody(
    call: Callable[..., Any], recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    started = call("start", recipe, "--store", store, "--threads", "1")
    folder = Path(started["run"])
    run = wait_for_end(folder)
    assert run.state == "done"
    assert run.words[:3] == ("recipe", "run", str(recipe))
    (listed,) = call("runs", "--store", store)["runs"]
    status = call("status", folder)
    assert listed["folder"] == status["folder"] == str(folder)
    assert [s["state"] for s in status["stages"]] == ["done", "done"]
    assert "finer: done" in status["log"]
    of_recipe = call("status", recipe, "--store", store)["stages"]
    assert [(s["id"], s["state"]) for s in of_recipe] == [("cohort", "done"), ("finer", "done")]
    assert main(["recipe", "stop", str(folder)]) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_is_found_and_resumed(
    call: Callable[..., Any], recipe: Path, tmp_path: Path
) -> None:
    text = recipe.read_text(encoding="utf-8").replace("ct_cases = 1", "ct_cases = 400")
    recipe.write_text(text, encoding="utf-8")
    started = call("start", recipe, "--store", tmp_path / "store", "--threads", "1")
    folder = Path(started["run"])
    assert read_run(folder).state == "running"
    assert main(["recipe", "resume", str(folder)]) == 2
    os.kill(started["pid"], signal.SIGKILL)
    os.waitpid(started["pid"], 0)
    assert read_run(folder).state == "interrupted"
    resumed = Path(call("resume", folder)["run"])
    assert resumed != folder
    assert read_run(resumed).state == "running"
    assert call("stop", resumed, "--wait", TIMEOUT_S)["ended"]
    assert read_run(resumed).state == "cancelled"


def test_mistakes_are_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], recipe: Path, tmp_path: Path
) -> None:
    recipe.write_text(TWO.replace("spacing_mm = 24.0", "spacing = 24.0"), encoding="utf-8")
    store = tmp_path / "store"
    assert main(["recipe", "start", str(recipe), "--store", str(store)]) == 2
    assert "unknown key 'spacing'" in capsys.readouterr().err
    assert not store.exists()


def test_show_and_edit_round_trip(call: Callable[..., Any], recipe: Path, tmp_path: Path) -> None:
    shown = call("show", recipe)
    cohort = {p["name"]: p for p in shown["stages"][0]["parameters"]}
    assert (cohort["spacing_mm"]["value"], cohort["spacing_mm"]["unit"]) == (24.0, "mm")
    output = tmp_path / "coarser.toml"
    call("edit", recipe, "--set", "cohort.spacing_mm=30", "-o", output)
    again = call("show", output)
    assert again["name"] == "coarser"
    found = {p["name"]: p["value"] for p in again["stages"][0]["parameters"]}
    assert found["spacing_mm"] == 30.0


@pytest.mark.torch
def test_a_dry_run_tells_memory_and_hours(call: Callable[..., Any]) -> None:
    content = call("check", "contrast-randomized", "--preset", "mini", "--dry-run", "--no-probe")
    assert content["memory_mb"] == max(check["memory_mb"] for check in content["checks"])
    assert content["free_memory_mb"] > 0
    assert content["hours"] is None
