"""Events: one line each, readable again, and a reason to stop."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.errors import Cancelled, InputError
from FlareMRCore.events import CancelFile, JsonLinesReporter, Pace, format_event, parse_event


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def events(stream: io.StringIO) -> list[dict[str, object]]:
    parsed = [parse_event(line) for line in stream.getvalue().splitlines()]
    assert None not in parsed
    return [event for event in parsed if event is not None]


def test_an_event_is_one_ascii_line_that_can_be_read_again() -> None:
    text = "Zeile 1\nZeile 2 ü 肝 \u2028"
    line = format_event("message", {"level": "info", "text": text})
    assert line.isascii()
    assert "\n" not in line
    assert parse_event(line + "\r\n") == {"event": "message", "level": "info", "text": text}


@pytest.mark.parametrize(
    "line", ["", "hello", "@flaremr", "@flaremr {broken", "@flaremr [1]", '@flaremr {"a": 1}']
)
def test_other_lines_are_no_events(line: str) -> None:
    assert parse_event(line) is None


def test_values_that_json_lacks_become_null_or_text() -> None:
    fields = {"a": float("nan"), "b": np.float32(0.5), "c": (1, np.int64(2)), "d": Path("x")}
    event = parse_event(format_event("result", fields))
    assert event == {"event": "result", "a": None, "b": 0.5, "c": [1, 2], "d": "x"}


def test_pace_survives_nested_stages_and_starts_again_with_a_repeated_one() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.seconds_left("cases", 0, 4) is None
    clock.now_s = 10.0
    assert pace.seconds_left("fine", 0, 2) is None
    clock.now_s = 12.0
    assert pace.seconds_left("fine", 1, 2) == pytest.approx(2.0)
    assert pace.seconds_left("cases", 1, 4) == pytest.approx(36.0)
    assert pace.seconds_left("fine", 0, 2) is None
    assert pace.seconds_left("cases", 4, 4) == 0.0


def test_progress_is_thinned_out_but_first_and_last_are_written() -> None:
    stream, clock = io.StringIO(), Clock()
    reporter = JsonLinesReporter(stream, clock=clock)
    for done in range(101):
        clock.now_s += 0.01
        reporter.advance("fine", done, 100)
    written = events(stream)
    assert written[0]["done"] == 0
    assert written[-1]["done"] == 100
    assert 9 <= len(written) <= 13
    assert written[5]["seconds_left"] == pytest.approx(0.01 * (100 - written[5]["done"]), abs=0.11)  # type: ignore[operator]


def test_error_event_has_code_hint_and_exit_code() -> None:
    stream = io.StringIO()
    JsonLinesReporter(stream).error(InputError("No.", code="input.missing", hint="Look."))
    assert events(stream) == [
        {"event": "error", "code": "input.missing", "message": "No.", "hint": "Look.",
         "exit_code": 3}
    ]  # fmt: skip


def test_a_reader_that_is_gone_cancels_the_job() -> None:
    class Broken:
        def write(self, text: str, /) -> object:
            raise BrokenPipeError

        def flush(self) -> object:
            return None

    with pytest.raises(Cancelled):
        JsonLinesReporter(Broken()).advance("fine", 0, 1)


def test_cancel_file_is_noticed_within_a_poll_and_stays(tmp_path: Path) -> None:
    clock = Clock()
    asked = CancelFile(tmp_path / "cancel", clock)
    assert not asked()
    (tmp_path / "cancel").touch()
    assert not asked()  # looked a moment ago
    clock.now_s = 0.2
    assert asked()
    (tmp_path / "cancel").unlink()
    assert asked()
    with pytest.raises(Cancelled):
        JsonLinesReporter(io.StringIO(), asked).advance("fine", 0, 1)


def test_no_cancel_file_is_never_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLAREMR_CANCEL_FILE", raising=False)
    assert not CancelFile.from_environment()()
