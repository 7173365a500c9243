"""Every outcome of a verb is an exit code and one line."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from FlareMRCore import errors
from FlareMRCore.cli import doctor
from FlareMRCore.cli.console import format_table
from FlareMRCore.cli.interrupts import Cancellation, watch_signals
from FlareMRCore.cli.main import VERBS, main
from FlareMRCore.events import parse_event

Fail = Callable[[BaseException], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Makes the verb `doctor` raise."""

    def set_failure(failure: BaseException) -> None:
        def run(arguments: argparse.Namespace) -> int:
            raise failure

        monkeypatch.setattr(doctor, "run", run)

    return set_failure


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.InputError("x"), 3),
        (errors.WeightsError("x"), 4),
        (errors.OutOfMemoryError("x"), 5),
        (MemoryError(), 5),
        (errors.BatchError("x"), 6),
        (errors.DependencyError("x"), 7),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 7),
        (errors.Cancelled(), 130),
        (KeyboardInterrupt(), 130),
        (PermissionError(13, "Permission denied", "/x"), 3),
        (RuntimeError("surprise"), 1),
        (ModuleNotFoundError("No module named 'FlareMRCore.x'", name="FlareMRCore.x"), 1),
    ],
)
def test_failures_have_fixed_exit_codes_and_no_traceback(
    fail: Fail, failure: BaseException, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    fail(failure)
    assert main(["doctor"]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) == 1


def test_missing_torch_says_what_to_install(fail: Fail, capsys: pytest.CaptureFixture[str]) -> None:
    fail(ModuleNotFoundError("No module named 'torch'", name="torch"))
    main(["doctor"])
    assert "pip install torch" in capsys.readouterr().err


def test_a_defect_leaves_its_details_in_a_file(
    fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(RuntimeError("surprise"))
    main(["doctor"])
    path = Path(capsys.readouterr().err.split("Details are in '")[1].split("'")[0])
    assert "RuntimeError: surprise" in path.read_text(encoding="utf-8")
    path.unlink()


def test_debug_shows_the_traceback(fail: Fail, capsys: pytest.CaptureFixture[str]) -> None:
    fail(errors.InputError("bad"))
    main(["doctor", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_with_json_progress_the_error_is_an_event(
    fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(errors.InputError("bad", code="input.bad", hint="Try."))
    main(["doctor", "--json-progress"])
    event = parse_event(capsys.readouterr().out)
    assert event is not None
    assert (event["event"], event["code"], event["exit_code"]) == ("error", "input.bad", 3)


@pytest.mark.parametrize("words", [[], ["nonsense"], ["segment"], ["segment", "--nonsense"]])
def test_wrong_arguments_are_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage:" in captured.err
    assert "error:" in captured.err


def test_wrong_arguments_are_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "--json-progress"]) == 2
    event = parse_event(capsys.readouterr().out)
    assert event is not None
    assert event["code"] == "usage.arguments"
    assert "INPUT" in event["message"]


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "usage:" in capsys.readouterr().out


def test_signals_ask_first_and_interrupt_the_second_time() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cancellation = Cancellation()
    with watch_signals(cancellation):
        assert not cancellation()
        signal.raise_signal(signal.SIGTERM)
        assert cancellation()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_verb_runs_outside_of_the_main_thread(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["doctor", "--help"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_table_aligns_numbers_to_the_right() -> None:
    table = format_table(("organ", "mL"), [("liver", "1500.0"), ("spleen", "-")])
    assert table.splitlines() == [
        "organ       mL",
        "-" * 14,
        "liver   1500.0",
        "spleen       -",
    ]
    assert format_table(("a",), []).splitlines()[0] == "a"
