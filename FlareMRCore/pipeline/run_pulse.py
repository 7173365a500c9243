"""The pulse of a run: a small file and a lock in its folder, by which others see that it lives.

The lock goes when the process ends, however it ends. Where the run is of another machine, locks
may not reach across the network drive: there the age of the last pulse decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import Cancelled
from FlareMRCore.events import CancelFile, Pace
from FlareMRCore.pipeline.file_lock import is_locked, try_lock
from FlareMRCore.progress import Reporter

PULSE_NAME = "pulse.json"
LOCK_NAME = "alive.lock"
CANCEL_NAME = "cancel"
INTERVAL_S = 0.5
"""Shortest time between two pulses of one stage."""

LONGEST_PAUSE_S = 900.0
"""A run of another machine that was silent for longer counts as ended."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far a run is.

    Attributes:
        stage: id of the stage that runs.
        done: steps, or cases, that are done.
        total: of them.
        per_minute: steps or cases in a minute; None while it is not known.
        seconds_left: in this stage; None while it is not known.
        time_s: when that was written, seconds since 1970.
        host: name of the machine.
        pid: number of the process there.
    """

    stage: str
    done: int
    total: int
    per_minute: float | None
    seconds_left: float | None
    time_s: float
    host: str
    pid: int


@dataclass(slots=True)
class RunReporter:
    """Passes everything on to `reporter`, writes the pulse, and stops if asked by the folder."""

    reporter: Reporter
    folder: Path
    clock: Callable[[], float] = time.monotonic
    _pace: Pace = field(init=False)
    _cancel: CancelFile = field(init=False)
    _last: tuple[str, int] = field(init=False, default=("", 0))
    _next_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._pace = Pace(self.clock)
        self._cancel = CancelFile(self.folder / CANCEL_NAME, self.clock)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Write the pulse (not more often than useful); raise `Cancelled` if asked."""
        self._beat(stage, done, total)
        if self._cancel():
            raise Cancelled
        self.reporter.advance(stage, done, total)

    def message(self, text: str, *, level: str = "info") -> None:
        """Pass the sentence on."""
        self.reporter.message(text, level=level)

    def _beat(self, stage: str, done: int, total: int) -> None:
        left = self._pace.seconds_left(stage, done, total)
        now = self.clock()
        if self._last == (stage, total) and done < total and now < self._next_s:
            return
        self._last, self._next_s = (stage, total), now + INTERVAL_S
        rate = 60.0 * (total - done) / left if left else None
        pulse = Pulse(
            stage,
            done,
            total,
            None if rate is None else round(rate, 2),
            None if left is None else round(left, 1),
            round(time.time(), 2),
            socket.gethostname(),
            os.getpid(),
        )
        write_text_atomically(self.folder / PULSE_NAME, json.dumps(asdict(pulse)) + "\n")


@contextlib.contextmanager
def living(folder: Path) -> Iterator[None]:
    """Hold the lock that says that the run in `folder` lives."""
    with try_lock(folder / LOCK_NAME):
        yield


def read_pulse(folder: Path) -> Pulse | None:
    """What the run told last; None if nothing, or if it cannot be read."""
    try:
        return Pulse(**json.loads((folder / PULSE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_alive(folder: Path) -> bool:
    """Whether a process is running the run in `folder`."""
    if is_locked(folder / LOCK_NAME):
        return True
    pulse = read_pulse(folder)
    if pulse is None or pulse.host == socket.gethostname():
        return False
    return time.time() - pulse.time_s < LONGEST_PAUSE_S


def ask_to_stop(folder: Path) -> None:
    """Let the run in `folder` save its state and end at its next step."""
    (folder / CANCEL_NAME).touch()
