"""What people see: progress on stderr, results on stdout, and the two kinds of reporter."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from FlareMRCore.errors import Cancelled, FlareMRError
from FlareMRCore.events import JsonLinesReporter, Pace
from FlareMRCore.progress import never_cancelled

REDRAW_S = 0.2
"""Shortest time between two drawings of the progress line on a terminal."""

PLAIN_LINE_S = 10.0
"""Shortest time between two progress lines of one stage in a log file."""


@dataclass(slots=True)
class ConsoleReporter:
    """Draws one progress line on a terminal, or a line now and then into a log file."""

    is_cancelled: Callable[[], bool] = never_cancelled
    clock: Callable[[], float] = time.monotonic
    _pace: Pace = field(init=False)
    _stage: str = ""
    _drawn_s: float = 0.0
    _width: int = 0

    def __post_init__(self) -> None:
        self._pace = Pace(self.clock)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Draw the state of `stage` and raise `Cancelled` if asked."""
        if self.is_cancelled():
            self._clear()
            raise Cancelled
        left = self._pace.seconds_left(stage, done, total)
        now, terminal = self.clock(), sys.stderr.isatty()
        pause = REDRAW_S if terminal else PLAIN_LINE_S
        if stage == self._stage and now - self._drawn_s < pause:
            return
        self._stage, self._drawn_s = stage, now
        text = _progress_text(stage, done, total, left)
        if terminal:
            self._draw(text)
        else:
            write_line(text, to_stderr=True)

    def message(self, text: str, *, level: str = "info") -> None:
        """Write the sentence on a line of its own."""
        self._clear()
        prefix = "warning: " if level == "warning" else ""
        write_line(prefix + text, to_stderr=True)

    def result(self, content: Mapping[str, Any]) -> None:
        """Nothing: people read the lines that the verb writes."""
        self._clear()

    def error(self, error: FlareMRError) -> None:
        """Write what went wrong and what to do on stderr."""
        self._clear()
        prefix = "" if isinstance(error, Cancelled) else "error: "
        write_line(f"{prefix}{error}", to_stderr=True)

    def _draw(self, text: str) -> None:
        _write("\r" + text.ljust(self._width), to_stderr=True)
        self._width = len(text)

    def _clear(self) -> None:
        if self._width:
            _write("\r" + " " * self._width + "\r", to_stderr=True)
            self._width = 0


JobReporter = ConsoleReporter | JsonLinesReporter
"""A reporter that also takes the result and the error of a job."""


def job_reporter(arguments: argparse.Namespace) -> JobReporter:
    """The reporter of this run: JSON lines if asked for, else the console."""
    is_cancelled = getattr(arguments, "is_cancelled", never_cancelled)
    if getattr(arguments, "json_progress", False):
        return JsonLinesReporter(StandardOutput(), is_cancelled)
    return ConsoleReporter(is_cancelled)


@dataclass(frozen=True, slots=True)
class StandardOutput:
    """The standard output of the moment of writing, whichever object that is then."""

    def write(self, text: str, /) -> object:
        """Append `text`."""
        return sys.stdout.write(text)

    def flush(self) -> object:
        """Hand the text over to the reader."""
        return sys.stdout.flush()


def write_line(text: str = "", *, to_stderr: bool = False) -> None:
    """Write one line for people; a reader that is gone (broken pipe) is no error."""
    _write(text + "\n", to_stderr=to_stderr)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under `header`, numbers to the right; the header alone if there are no rows."""
    table = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[n]) for row in table) for n in range(len(header))]
    numeric = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in table
    ]
    return "\n".join([lines[0], "-" * sum([*widths, 2 * len(widths) - 2]), *lines[1:]])


def use_utf8() -> None:
    """Let stdout and stderr take any character, whatever the code page of the console is."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def _write(text: str, *, to_stderr: bool) -> None:
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at exit and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _progress_text(stage: str, done: int, total: int, left: float | None) -> str:
    share = f"{100 * done // total:3d} %" if total > 0 else ""
    rest = f", {left:.0f} s left" if left else ""
    return f"{stage:<12} {share}{rest}"


def _is_number(text: str) -> bool:
    cell = text.removesuffix(" *")
    if cell in {"", "-"}:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
