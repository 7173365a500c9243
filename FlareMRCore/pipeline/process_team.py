"""The processes that torchrun started for one recipe: one leads, the others join its trainings."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.progress import Reporter

POLL_S = 0.1
STAGE = "waiting for the other processes"


@dataclass(frozen=True, slots=True)
class Team:
    """Which of how many processes this one is; they share the store's file system.

    Attributes:
        number: 0 leads: it runs every stage, writes to the store and tells people.
        count: of processes.
    """

    number: int = 0
    count: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Team:
        """As torchrun's variables say; alone without them."""
        found = os.environ if environment is None else environment
        return cls(int(found.get("RANK", "0")), int(found.get("WORLD_SIZE", "1")))

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.number == 0

    def begin(self, work: Path) -> None:
        """The leader, before a common stage: forget who was done the last time."""
        for path in self._marks(work):
            path.unlink(missing_ok=True)

    def leave(self, work: Path) -> None:
        """A follower, after a common stage: `work` is not needed any more."""
        self._mark(work, self.number).touch()

    def wait_for_others(self, work: Path, reporter: Reporter) -> None:
        """The leader, after a common stage: wait until everybody else has left `work`.

        Raises:
            Cancelled: somebody failed, upon which torchrun stops all, or the user asked to stop.
        """
        while not all(path.exists() for path in self._marks(work)):
            wait_a_moment(reporter)

    def _marks(self, work: Path) -> tuple[Path, ...]:
        return tuple(self._mark(work, number) for number in range(1, self.count))

    @staticmethod
    def _mark(work: Path, number: int) -> Path:
        return work / f"process{number}.done"


def wait_a_moment(reporter: Reporter) -> None:
    """Wait before looking again.

    Raises:
        Cancelled: the user asked to stop.
    """
    reporter.advance(STAGE, 0, 1)
    time.sleep(POLL_S)
