"""The lines by which a job talks to the program that started it, and how it is told to stop.

A line is ``@flaremr`` and a JSON object in ASCII; every other line of the output is plain text
for the log. This file needs the standard library only, so that any process can read the lines.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol

from FlareMRCore.errors import Cancelled, FlareMRError
from FlareMRCore.progress import never_cancelled

PREFIX = "@flaremr "

CANCEL_FILE_VARIABLE = "FLAREMR_CANCEL_FILE"
"""Environment variable that names a file; once that file exists, the job stops."""

MIN_INTERVAL_S = 0.1
"""Shortest time between two progress lines of one stage; first and last are always written."""

CANCEL_POLL_S = 0.1
"""Shortest time between two looks at the cancel file (it may lie on a network drive)."""


class TextSink(Protocol):
    """What an open text file offers and a job needs."""

    def write(self, text: str, /) -> object:
        """Append `text`."""

    def flush(self) -> object:
        """Hand the text over to the reader."""


def format_event(event: str, fields: Mapping[str, Any]) -> str:
    """The line of one event, without newline; numbers that JSON lacks (NaN) become null."""
    content = {"event": event, **{key: json_values(value) for key, value in fields.items()}}
    return PREFIX + json.dumps(content, ensure_ascii=True, allow_nan=False)


def parse_event(line: str) -> dict[str, Any] | None:
    """The JSON object of an event line, or None for any other line, broken ones included."""
    text = line.strip()
    if not text.startswith(PREFIX):
        return None
    try:
        content = json.loads(text[len(PREFIX) :])
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("event"), str):
        return None
    return content


@dataclass(slots=True)
class Pace:
    """Time left in a stage, from how long its steps took so far; stages may nest and repeat."""

    clock: Callable[[], float] = time.monotonic
    _started: dict[str, tuple[int, float]] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=dict)

    def seconds_left(self, stage: str, done: int, total: int) -> float | None:
        """Seconds until `total`; None while nothing is known, 0 at the end of the stage."""
        now = self.clock()
        if done < self._done.get(stage, done + 1):
            self._started[stage] = (done, now)
        self._done[stage] = done
        if done >= total:
            return 0.0
        first_done, started_s = self._started[stage]
        if done == first_done:
            return None
        return (now - started_s) / (done - first_done) * (total - done)


@dataclass(slots=True)
class JsonLinesReporter:
    """Writes events to `stream`, one line each, flushed.

    If the reader is gone (broken pipe), the job is cancelled: nobody waits for its result.
    """

    stream: TextSink
    is_cancelled: Callable[[], bool] = never_cancelled
    clock: Callable[[], float] = time.monotonic
    _pace: Pace = field(init=False)
    _last: tuple[str, float] = field(init=False, default=("", 0.0))

    def __post_init__(self) -> None:
        self._pace = Pace(self.clock)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Write a progress event (not more often than useful) and raise `Cancelled` if asked."""
        if self.is_cancelled():
            raise Cancelled
        left = self._pace.seconds_left(stage, done, total)
        last_stage, last_s = self._last
        now = self.clock()
        if stage == last_stage and done < total and now - last_s < MIN_INTERVAL_S:
            return
        self._last = (stage, now)
        seconds = None if left is None else round(left, 1)
        self._write(
            "progress", {"stage": stage, "done": done, "total": total, "seconds_left": seconds}
        )

    def message(self, text: str, *, level: str = "info") -> None:
        """Write a message event."""
        self._write("message", {"level": level, "text": text})

    def result(self, content: Mapping[str, Any]) -> None:
        """Write the result event: what was made, and where it is."""
        self._write("result", content)

    def error(self, error: FlareMRError) -> None:
        """Write the error event that ends a failed job."""
        self._write("error", error_fields(error))

    def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        try:
            self.stream.write(format_event(event, fields) + "\n")
            self.stream.flush()
        except BrokenPipeError as gone:
            raise Cancelled("Cancelled: the program that started this job is gone.") from gone


def error_fields(error: FlareMRError) -> dict[str, Any]:
    """Fields of an error event; the message comes without its hint."""
    return {
        "code": error.code,
        "message": Exception.__str__(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


@dataclass(slots=True)
class CancelFile:
    """Answers whether the cancel file exists; looks at most ten times a second."""

    path: Path | None
    clock: Callable[[], float] = time.monotonic
    _seen: bool = False
    _next_s: float = -math.inf

    @classmethod
    def from_environment(cls) -> CancelFile:
        """The file named by ``FLAREMR_CANCEL_FILE``, or one that never exists."""
        name = os.environ.get(CANCEL_FILE_VARIABLE, "")
        return cls(Path(name) if name else None)

    def __call__(self) -> bool:
        """True once the file was there."""
        if self._seen or self.path is None:
            return self._seen
        now = self.clock()
        if now >= self._next_s:
            self._next_s = now + CANCEL_POLL_S
            self._seen = self.path.exists()
        return self._seen


def json_values(value: Any) -> Any:
    """`value` with JSON types only: paths as text, tuples as lists, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Iterable):
        return [json_values(item) for item in value]
    return str(value)
