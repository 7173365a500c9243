"""Learning rate by step, as a factor of the highest one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from FlareMRCore.errors import UsageError


@dataclass(frozen=True, slots=True)
class Schedule:
    """Course of the learning rate.

    Attributes:
        kind: ``"constant"``; ``"poly"`` (1 - t)^power; ``"linear"`` 1 - t; ``"cosine"`` from 1 to
            `floor` after the warm-up; ``"piecewise"`` straight lines between `knots`; t is the
            share of the steps that are done.
        warmup_steps: the factor rises linearly over these steps and never exceeds that line.
        warmup_start: factor from which it rises.
        power: of poly.
        floor: last factor of cosine.
        knots: (t, factor) of piecewise, t rising from 0 to 1.
    """

    kind: Literal["constant", "poly", "linear", "cosine", "piecewise"] = "constant"
    warmup_steps: int = 0
    warmup_start: float = 0.0
    power: float = 0.9
    floor: float = 0.0
    knots: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.5, 1.0), (1.0, 0.0))

    def __post_init__(self) -> None:
        times = [time for time, _ in self.knots]
        rising = len(times) >= 2 and all(a < b for a, b in pairwise(times))
        if not rising or times[0] != 0.0 or times[-1] != 1.0:
            raise UsageError(
                f"The knots of a schedule rise from t = 0 to t = 1; found {times}.",
                code="usage.schedule",
            )


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """Factor of the learning rate for update number `step` (from 0) of `steps`.

    >>> rate_factor(Schedule("poly"), 0, 10), rate_factor(Schedule("linear"), 5, 10)
    (1.0, 0.5)
    """
    return min(_warmup(schedule, step), _decay(schedule, step, steps))


def _warmup(schedule: Schedule, step: int) -> float:
    share = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    return schedule.warmup_start + (1 - schedule.warmup_start) * share


def _decay(schedule: Schedule, step: int, steps: int) -> float:
    t = step / steps
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "poly":
        return float((1 - t) ** schedule.power)
    if schedule.kind == "linear":
        return 1 - t
    if schedule.kind == "cosine":
        left = max(1, steps - schedule.warmup_steps)
        share = min(1.0, max(0, step - schedule.warmup_steps) / left)
        return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * share)) / 2
    return _piecewise(schedule.knots, t)


def _piecewise(knots: tuple[tuple[float, float], ...], t: float) -> float:
    for (start, before), (end, after) in pairwise(knots):
        if t <= end:
            return before + (after - before) * (t - start) / (end - start)
    return knots[-1][1]
