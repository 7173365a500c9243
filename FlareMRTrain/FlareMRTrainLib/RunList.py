"""Something that a command tells about a run, read again when the run has made more."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from FlareMRSegLib.Job import JobResult

from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.TrainSession import TrainSession

PAUSE_S = 5.0
"""Shortest time between two automatic readings: each is a process of its own."""

Words = Callable[[RunReading], list[str]]
WhenRead = Callable[[Mapping[str, Any]], None]


class RunList:
    """Reads the list by a command, not more often than useful.

    Args:
        session: runs the command.
        title: of the command, for people.
        words: of the command.
        whenRead: takes the fields of the result; an empty mapping if there is no run.
        clock: seconds, ever rising; replaced in tests.
    """

    def __init__(
        self,
        session: TrainSession,
        title: str,
        words: Words,
        whenRead: WhenRead,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run: RunReading | None = None
        self._session = session
        self._title = title
        self._words = words
        self._whenRead = whenRead
        self._clock = clock
        self._known: Any = None
        self._next = 0.0
        self._isReading = False

    def refresh(self, run: RunReading | None) -> None:
        """Read the list if `run` is another one or has made more since."""
        isOther = (run.folder if run else None) != (self.run.folder if self.run else None)
        self.run = run
        if run is None:
            if isOther or self._known is not None:
                self._known = None
                self._whenRead({})
            return
        if isOther:
            self._next = 0.0
        if signature(run) != self._known and self._clock() >= self._next:
            self.read()

    def read(self) -> None:
        """Read the list now, unless it is being read."""
        if self.run is None or self._isReading:
            return
        self._isReading = True
        self._known = signature(self.run)
        self._session.command(self._title, self._words(self.run), self._onRead)

    def take(self, result: JobResult) -> None:
        """Use the list in the result of a command, unless another run is shown by now."""
        self._next = self._clock() + PAUSE_S
        shown = str(self.run.folder) if self.run is not None else ""
        if result.succeeded and str(result.content.get("run")) == shown:
            self._whenRead(result.content)

    def _onRead(self, result: JobResult) -> None:
        self._isReading = False
        self.take(result)


def signature(run: RunReading) -> Any:
    """What changes when a run has made more, or other things."""
    return (run.folder, tuple((stage.id, stage.folders) for stage in run.stages))
