"""Things held for the time of one segmentation: a stopwatch and the number of threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from FlareMRCore.inference.report import PHASES


@dataclass(slots=True)
class Stopwatch:
    """Seconds by phase; a phase may be entered several times, and its times add up."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts what happens within it as `name`, also if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def rounded(self) -> dict[str, float]:
        """Seconds by phase, to the millisecond."""
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Within it torch uses `count` threads (None: as many as before)."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
