"""JobRunner with real child processes; a stand-in engine plays what may happen to a run."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("FlareMRCore")
from FlareMRSegLib.ChildProcess import ChildProcess
from FlareMRSegLib.Job import Job, JobResult, commandJob
from FlareMRSegLib.JobRunner import JobRunner

STAND_IN = Path(__file__).with_name("stand_in_engine.py")
LONG_S = 90.0


def launch_stand_in(command: list[str], environment: Mapping[str, str]) -> ChildProcess:
    """Start the stand-in instead of ``-m FlareMRCore``, everything else as it is."""
    assert command[1:3] == ["-m", "FlareMRCore"]
    return ChildProcess([command[0], str(STAND_IN), *command[3:]], environment)


class Heard:
    """Everything a runner told."""

    def __init__(self, runner: JobRunner) -> None:
        self.progress: list[tuple[str, float, float | None]] = []
        self.lines: list[str] = []
        self.messages: list[tuple[str, str]] = []
        self.results: list[JobResult] = []
        self.started: list[tuple[int, str]] = []
        runner.progress.connect(lambda *values: self.progress.append(values))
        runner.logLine.connect(self.lines.append)
        runner.message.connect(lambda *values: self.messages.append(values))
        runner.finished.connect(self.results.append)
        runner.started.connect(lambda *values: self.started.append(values))


@pytest.fixture
def folder_root(tmp_path: Path) -> Path:
    """Where temporary folders are made; the name has a space and letters beyond ASCII."""
    folder = tmp_path / "Töpfe für Bilder 図"
    folder.mkdir()
    return folder


@pytest.fixture
def runner(folder_root: Path) -> Iterator[JobRunner]:
    runner = JobRunner(launch_stand_in, graceSeconds=0.5, folderRoot=folder_root)
    yield runner
    runner.close()


@pytest.fixture
def heard(runner: JobRunner) -> Heard:
    return Heard(runner)


def run(runner: JobRunner, *words: str) -> JobResult:
    result = runner.wait(runner.start(commandJob("test", words)), LONG_S)
    assert result is not None, "the job did not end"
    return result


def wait_until(condition: Callable[[], object], runner: JobRunner | None = None) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        if runner is not None:
            runner.poll()
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def pids(heard: Heard) -> list[int]:
    """Process numbers that the stand-in told: its own and its child's."""
    found = next((line for line in heard.lines if line.startswith("pids ")), "")
    return [int(number) for number in re.findall(r"\d+", found)]


def test_progress_messages_and_result_arrive(
    runner: JobRunner, heard: Heard, folder_root: Path
) -> None:
    result = run(runner, "work")
    assert result.succeeded
    assert result.content == {"answer": 42}
    assert result.exitCode == 0
    fractions = [fraction for _stage, fraction, _left in heard.progress]
    assert fractions == sorted(fractions)
    assert {stage for stage, _fraction, _left in heard.progress} == {"load", "coarse", "fine"}
    assert 0 <= fractions[0] < 0.5 < fractions[-1] <= 1
    assert heard.messages == [("warning", "a warning")]
    assert heard.lines == ["plain line", "π" + "x" * 10]
    assert "a warning" in result.log
    assert heard.results == [result]
    assert list(folder_root.iterdir()) == []


def test_the_child_gets_its_own_environment(runner: JobRunner, folder_root: Path) -> None:
    before = dict(os.environ)
    result = run(runner, "echo", "ünï cödé", "a b", "")
    environment = result.content["environment"]
    assert result.content["arguments"] == ["ünï cödé", "a b", ""]
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["PYTHONIOENCODING"] == "utf-8"
    assert Path(environment["FLAREMR_CANCEL_FILE"]).parent.parent == folder_root
    root = Path(environment["PYTHONPATH"].split(os.pathsep)[0])
    assert (root / "FlareMRCore" / "__init__.py").is_file()
    assert dict(os.environ) == before


def test_cancel_in_the_middle(runner: JobRunner, heard: Heard, folder_root: Path) -> None:
    job_id = runner.start(commandJob("long", ["long"]))
    wait_until(lambda: len(heard.progress) > 3, runner)
    start = time.monotonic()
    runner.cancel()
    result = runner.wait(job_id, LONG_S)
    assert result is not None
    assert (result.state, result.error) == ("cancelled", None)
    assert result.exitCode == 130, "the child should have stopped by itself"
    assert time.monotonic() - start < 2
    assert list(folder_root.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="looks for POSIX process groups")
def test_cancel_of_a_stubborn_child_leaves_no_process(
    runner: JobRunner, heard: Heard, folder_root: Path
) -> None:
    job_id = runner.start(commandJob("stubborn", ["stubborn"]))
    wait_until(lambda: pids(heard), runner)
    assert all(is_alive(pid) for pid in pids(heard))
    runner.cancel()
    result = runner.wait(job_id, LONG_S)
    assert result is not None
    assert result.state == "cancelled"
    wait_until(lambda: not any(is_alive(pid) for pid in pids(heard)))
    assert list(folder_root.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="looks for POSIX process groups")
def test_a_finished_child_leaves_no_grandchild(runner: JobRunner, heard: Heard) -> None:
    start = time.monotonic()
    result = run(runner, "leave-grandchild")
    assert result.succeeded
    # The grandchild held the output open; that must not keep the job from ending.
    assert time.monotonic() - start < 10
    _child, grandchild = pids(heard)
    wait_until(lambda: not is_alive(grandchild))


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_killed_child_ends_in_one_result(
    runner: JobRunner, heard: Heard, folder_root: Path
) -> None:
    job_id = runner.start(commandJob("stubborn", ["stubborn"]))
    wait_until(lambda: pids(heard), runner)
    child, grandchild = pids(heard)
    os.kill(child, signal.SIGKILL)
    result = runner.wait(job_id, LONG_S)
    assert result is not None
    assert result.error is not None
    assert (result.state, result.error.code) == ("failed", "process.killed")
    assert heard.results == [result]
    wait_until(lambda: not is_alive(grandchild))
    assert result.folder is not None
    assert result.folder.parent == folder_root


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("crash",), "process.crashed", None),
        (("silent",), "process.no-result", 0),
        (("exit", "5"), "memory.exhausted", 5),
        (("exit", "3"), "process.failed", 3),
        (("fail",), "weights.damaged", 1),
        (("memory",), "memory.exhausted", 5),
        (("exit", "137"), "process.killed", 137),
    ],
)
def test_every_failure_becomes_one_result_with_an_error(
    runner: JobRunner, heard: Heard, words: tuple[str, ...], code: str, exit_code: int | None
) -> None:
    result = run(runner, *words)
    assert result.error is not None
    assert (result.state, result.error.code) == ("failed", code)
    assert exit_code is None or result.exitCode == exit_code
    assert heard.results == [result]
    assert result.folder is not None
    assert (result.folder / "log.txt").is_file(), "a failed job keeps its folder with the log"


def test_garbage_on_the_output_is_log_text(runner: JobRunner, heard: Heard) -> None:
    result = run(runner, "garbage")
    assert result.succeeded
    assert result.content == {"survived": True}
    assert any("garbage" in line for line in heard.lines)
    assert heard.progress == [("3", 0.0, None)]
    assert max(len(line) for line in heard.lines) < 3_000_000


def test_a_child_that_cannot_be_started_is_a_failed_job(folder_root: Path) -> None:
    def launch(_command: list[str], environment: Mapping[str, str]) -> ChildProcess:
        return ChildProcess([str(folder_root / "no such program")], environment)

    runner = JobRunner(launch, folderRoot=folder_root)
    result = run(runner, "work")
    assert result.error is not None
    assert (result.state, result.error.code) == ("failed", "process.start")
    assert list(folder_root.iterdir()) == []


def test_jobs_wait_for_each_other_and_can_be_taken_back(runner: JobRunner, heard: Heard) -> None:
    ids = [runner.start(commandJob(f"job {n}", ["work"])) for n in range(3)]
    assert runner.currentJobId() == ids[0]
    assert runner.waiting() == (ids[1], ids[2])
    runner.cancel(ids[1])
    assert runner.wait(ids[1]).state == "cancelled"
    assert runner.wait(None, LONG_S).jobId == ids[2]
    assert [result.state for result in heard.results] == ["cancelled", "done", "done"]
    assert heard.started == [(ids[0], "job 0"), (ids[2], "job 2")]
    assert not runner.isRunning()


def test_cancel_all(runner: JobRunner, heard: Heard) -> None:
    for name in ("long", "long", "work"):
        runner.start(commandJob(name, [name]))
    wait_until(lambda: heard.progress, runner)
    runner.cancelAll()
    runner.wait(None, LONG_S)
    assert [result.state for result in heard.results] == ["cancelled"] * 3
    assert not runner.isRunning()


def test_files_are_made_in_turn_and_results_taken_before_the_folder_goes(
    runner: JobRunner, folder_root: Path
) -> None:
    seen: list[Path] = []

    def prepare(folder: Path) -> list[str]:
        assert list(folder_root.iterdir()) == [folder]
        seen.append(folder)
        return ["touch", str(folder / "résult.txt")]

    def collect(folder: Path, _content: Mapping[str, object]) -> str:
        return (folder / "résult.txt").read_text(encoding="utf-8")

    ids = [runner.start(Job("touch", prepare, collect)) for _ in range(2)]
    assert len(seen) == 1, "the second job must not write files before its turn"
    assert [runner.wait(job_id, LONG_S).value for job_id in ids] == ["made", "made"]
    assert not any(folder.exists() for folder in seen)


def test_a_result_that_cannot_be_loaded_is_a_failure(runner: JobRunner) -> None:
    def collect(_folder: Path, _content: Mapping[str, object]) -> None:
        raise ValueError("no such node")

    job = commandJob("work", ["work"])
    result = runner.wait(runner.start(Job("work", job.prepare, collect)), LONG_S)
    assert result is not None
    assert result.error is not None
    assert (result.state, result.error.code) == ("failed", "result.load")
    assert "no such node" in result.error.message


@pytest.mark.skipif(sys.platform == "win32", reason="looks for POSIX process groups")
def test_close_leaves_nothing_and_tells_nobody(
    runner: JobRunner, heard: Heard, folder_root: Path
) -> None:
    runner.start(commandJob("stubborn", ["stubborn"]))
    runner.start(commandJob("work", ["work"]))
    wait_until(lambda: pids(heard), runner)
    start = time.monotonic()
    runner.close()
    assert time.monotonic() - start < 5
    wait_until(lambda: not any(is_alive(pid) for pid in pids(heard)))
    assert heard.results == []
    assert list(folder_root.iterdir()) == []
    with pytest.raises(RuntimeError, match="closed"):
        runner.start(commandJob("work", ["work"]))


def test_a_slot_may_start_the_next_job(runner: JobRunner, heard: Heard) -> None:
    def again(result: JobResult) -> None:
        if len(heard.results) == 1:
            runner.start(commandJob("second", ["work"]))

    runner.finished.connect(again)
    run(runner, "work")
    runner.wait(None, LONG_S)
    assert [result.name for result in heard.results] == ["test", "second"]


def test_events_processed_inside_a_slot_do_not_repeat_lines(
    runner: JobRunner, heard: Heard
) -> None:
    runner.logLine.connect(lambda _text: runner.poll())
    run(runner, "work")
    assert heard.lines == ["plain line", "π" + "x" * 10]


@pytest.mark.skipif(sys.platform == "win32", reason="looks for POSIX process groups")
def test_a_program_that_quits_takes_its_child_along(tmp_path: Path) -> None:
    """The child of a program that was killed notices that nobody reads its output."""
    code = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from Testing.mrml.test_JobRunner import launch_stand_in, commandJob, JobRunner
runner = JobRunner(launch_stand_in)
runner.start(commandJob("long", ["long"]))
print(runner._running.process.pid, flush=True)
time.sleep(60)
"""
    program = ChildProcess([sys.executable, "-c", code], dict(os.environ, TMPDIR=str(tmp_path)))
    lines: list[tuple[str, str]] = []
    wait_until(lambda: lines.extend(program.takeLines(10)) or lines)
    child = int(lines[0][1])
    os.kill(program.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(child))
    program.close()
