"""What a piece of work costs: time, largest memory, memory summed over time, as FLARE counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from FlareMRCore.inference.memory import MB
from FlareMRCore.inference.system_memory import held_memory_bytes

PERIOD_S = 0.1
"""Time between two samples. Source: evaluation of the FLARE challenges."""


@dataclass(slots=True)
class Efficiency:
    """Samples of memory during a piece of work.

    Attributes:
        times_s: time of each sample since the start.
        memory_mb: memory held at that time.
    """

    times_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Wall-clock time."""
        return self.times_s[-1] if self.times_s else 0.0

    @property
    def largest_mb(self) -> float:
        """Largest sample."""
        return max(self.memory_mb, default=0.0)

    @property
    def sum_mb_s(self) -> float:
        """Period times the sum of the samples, as the challenge counts; long periods count less."""
        return PERIOD_S * sum(self.memory_mb)

    @property
    def area_mb_s(self) -> float:
        """Area under the samples at the times they were taken (trapezoids)."""
        samples = pairwise(zip(self.times_s, self.memory_mb, strict=True))
        return sum((later - first) * (low + high) / 2 for (first, low), (later, high) in samples)


def process_memory_mb() -> float:
    """Main memory that this process holds."""
    return held_memory_bytes() / MB


@contextmanager
def sampled(
    memory_mb: Callable[[], float] = process_memory_mb, *, period_s: float = PERIOD_S
) -> Iterator[Efficiency]:
    """Samples `memory_mb` from another thread until the block ends, also if it fails."""
    found = Efficiency()
    start = time.perf_counter()
    stop = threading.Event()

    def sample() -> None:
        found.times_s.append(time.perf_counter() - start)
        found.memory_mb.append(memory_mb())

    def watch() -> None:
        while not stop.wait(period_s):
            sample()

    sample()
    thread = threading.Thread(target=watch, name="efficiency", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        sample()
