"""Progress and cancellation, which are one thing: every report is a chance to stop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from FlareMRCore.errors import Cancelled


class Reporter(Protocol):
    """Where a job tells how far it is.

    `advance` raises `Cancelled` once the user asked to stop, so jobs call it often
    (at least every half second of work) and never catch that exception.
    """

    def advance(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of `stage` are finished."""

    def message(self, text: str, *, level: str = "info") -> None:
        """Report a sentence; `level` is ``"info"`` or ``"warning"``."""


def never_cancelled() -> bool:
    """Answer of a job that nobody can cancel."""
    return False


@dataclass(slots=True)
class SilentReporter:
    """Keeps messages in a list and prints nothing; used by scripts and tests."""

    is_cancelled: Callable[[], bool] = never_cancelled
    messages: list[str] = field(default_factory=list)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self.is_cancelled():
            raise Cancelled

    def message(self, text: str, *, level: str = "info") -> None:
        """Keep the sentence."""
        self.messages.append(text)
