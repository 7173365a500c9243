"""What the files of a run tell: while it runs, when it ended, and how."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from FlareMRCore.errors import Cancelled, DatasetError, InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe_status import prune_store
from FlareMRCore.pipeline.run_pulse import (
    LONGEST_PAUSE_S,
    PULSE_NAME,
    Pulse,
    RunReporter,
    ask_to_stop,
    is_alive,
    living,
    read_pulse,
)
from FlareMRCore.pipeline.run_reading import RunReading, log_tail, read_run, runs_of
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.progress import Reporter, SilentReporter
from Testing.core.pipeline.recipe_fakes import RECIPE, STAGES, fake_recipe


class Watcher:
    """Reads the run at every step, and may ask it to stop."""

    def __init__(self, store: Path, stop_at: tuple[str, int] | None = None) -> None:
        self.store = store
        self.stop_at = stop_at
        self.seen: list[RunReading] = []

    def advance(self, stage: str, done: int, total: int) -> None:
        (run,) = runs_of(self.store)
        self.seen.append(run)
        if (stage, done) == self.stop_at:
            ask_to_stop(run.folder)
            time.sleep(0.15)  # the folder is looked at ten times a second

    def message(self, text: str, *, level: str = "info") -> None:
        """Nothing."""


def run(folder: Path, text: str = RECIPE, reporter: Reporter | None = None) -> Path:
    recipe = fake_recipe(folder, text)
    store = ArtifactStore(folder / "store")
    options = RunOptions(stages=STAGES, words=("recipe", "run", "fake"))
    return run_recipe(recipe, None, store, reporter or SilentReporter(), options).folder


def states(run: RunReading) -> dict[str, str]:
    return {stage.id: stage.state for stage in run.stages}


def test_a_finished_run_tells_its_stages_and_folders(tmp_path: Path) -> None:
    found = read_run(run(tmp_path))
    assert (found.state, found.recipe, found.title, found.pulse) == ("done", "fake", "Fake", None)
    assert set(states(found).values()) == {"done"}
    doubled = found.stage("doubled")
    assert doubled is not None
    assert (doubled.use, doubled.output, doubled.done, doubled.total) == ("double", "cases", 3, 3)
    assert all((folder / "labels.txt").is_file() for folder in doubled.folders)
    assert [stage.id for stage in found.making("network")] == ["counted"]
    assert found.words == ("recipe", "run", "fake")
    assert found.finished > found.started
    assert "counted: done" in log_tail(found.folder)


def test_the_second_run_is_cached_and_listed_first(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert [found.folder for found in runs_of(tmp_path / "store")] == [second, first]
    assert set(states(read_run(second)).values()) == {"cached"}


def test_a_run_is_seen_while_it_runs(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "store")
    run(tmp_path, reporter=watcher)
    assert {found.state for found in watcher.seen} == {"running"}
    counting = [r for r in watcher.seen if (s := r.stage("counted")) and s.work]
    assert counting
    last = counting[-1]
    assert states(last)["doubled"] == "done"
    assert last.pulse is not None
    assert (last.pulse.stage, last.pulse.pid) == ("counted", os.getpid())
    counted = last.stage("counted")
    assert counted is not None
    assert counted.total == 4
    assert counted.work


def test_a_run_stops_when_its_folder_asks_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run(tmp_path, reporter=Watcher(tmp_path / "store", ("counted", 2)))
    (paused,) = runs_of(tmp_path / "store")
    assert paused.state == "cancelled"
    assert states(paused)["counted"] == "interrupted"
    resumed = read_run(run(tmp_path))
    assert resumed.state == "done"
    counted = resumed.stage("counted")
    assert counted is not None
    started_at = (counted.folders[0] / "notes" / "start.txt").read_text(encoding="utf-8")
    assert int(started_at) >= 2


def test_a_failed_run_says_why_and_what_to_do(tmp_path: Path) -> None:
    broken = RECIPE.replace('input = "made"', 'input = "made"\nfail_on = "case1"', 1)
    with pytest.raises(InputError):
        run(tmp_path, broken)
    (found,) = runs_of(tmp_path / "store")
    assert found.state == "failed"
    assert states(found) == {
        "made": "done",
        "doubled": "failed",
        "packed": "waiting",
        "counted": "waiting",
    }
    assert found.error is not None
    assert found.error["code"] == "test.broken"
    failed = found.stage("doubled")
    assert failed is not None
    assert failed.detail == "case1 is broken"


def test_a_killed_run_is_not_taken_for_a_living_one(tmp_path: Path) -> None:
    folder = run(tmp_path)
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    content["state"] = content["stages"]["counted"]["state"] = "running"
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    found = read_run(folder)
    assert (found.state, states(found)["counted"]) == ("interrupted", "interrupted")
    with living(folder):
        assert read_run(folder).state == "running"


def test_what_was_removed_from_the_store_is_stale(tmp_path: Path) -> None:
    folder = run(tmp_path)
    counted = read_run(folder).stage("counted")
    assert counted is not None
    shutil.rmtree(counted.folders[0])
    assert states(read_run(folder))["counted"] == "stale"
    assert read_run(folder).making("network") == ()


def test_pruning_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    store = ArtifactStore(tmp_path / "store")
    with living(first):
        prune_store(store)
    assert {found.folder for found in runs_of(store.root)} == {first, second}
    prune_store(store)
    assert [found.folder for found in runs_of(store.root)] == [second]
    assert set(states(read_run(second)).values()) == {"cached"}


def test_a_damaged_run_is_told_but_not_listed(tmp_path: Path) -> None:
    folder = run(tmp_path)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DatasetError):
        read_run(folder)
    assert runs_of(tmp_path / "store") == ()
    assert runs_of(tmp_path / "nowhere") == ()


def test_the_pulse_tells_rate_and_time_left(tmp_path: Path) -> None:
    now = [0.0]
    reporter = RunReporter(SilentReporter(), tmp_path, clock=lambda: now[0])
    for done in range(4):
        reporter.advance("train", done, 13)
        now[0] += 2.0
    pulse = read_pulse(tmp_path)
    assert pulse is not None
    assert (pulse.stage, pulse.done, pulse.total) == ("train", 3, 13)
    assert pulse.seconds_left == pytest.approx(20.0)
    assert pulse.per_minute == pytest.approx(30.0)


def test_pulses_are_not_written_too_often(tmp_path: Path) -> None:
    reporter = RunReporter(SilentReporter(), tmp_path, clock=lambda: 0.0)
    for done in range(4):
        reporter.advance("train", done, 13)
    pulse = read_pulse(tmp_path)
    assert pulse is not None
    assert pulse.done == 0


def test_a_run_of_another_machine_lives_while_it_tells_something(tmp_path: Path) -> None:
    for age_s, lives in ((1.0, True), (LONGEST_PAUSE_S + 1, False)):
        pulse = Pulse("train", 1, 2, None, None, time.time() - age_s, "another-host", 1)
        fields = {name: getattr(pulse, name) for name in Pulse.__slots__}  # type: ignore[attr-defined]
        (tmp_path / PULSE_NAME).write_text(json.dumps(fields), encoding="utf-8")
        assert is_alive(tmp_path) is lives


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ""
    text = "\n".join(f"line {n}" for n in range(100_000))
    (tmp_path / "log.txt").write_text(text, encoding="utf-8")
    lines = log_tail(tmp_path, 5).splitlines()
    assert lines == [f"line {n}" for n in range(99_995, 100_000)]
