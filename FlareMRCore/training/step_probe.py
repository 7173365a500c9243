"""Measures a training step at its true size, or at the largest smaller one that time allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from FlareMRCore.networks.inputs import input_rules
from FlareMRCore.training import probe
from FlareMRCore.training.probe import MB, TrainingCost

CHEAP_GMACS = 20.0
"""Steps of less arithmetic are measured without asking first how long they would take."""
USABLE_SHARE = 0.9
SMALLEST_EDGE = 32
CALIBRATION = ("unet-mini", (32, 32, 32))
"""Network and patch that tell how fast this computer is."""
CALIBRATION_ATTENTION = ("phtrans-mini", (32, 48, 64))
"""The same for networks of one shape, whose attention takes longer than its arithmetic tells."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepProbe:
    """Time of a training step with one patch.

    Attributes:
        seconds: of the true patch; measured, scaled from a smaller one, or from the arithmetic.
        shape: patch that ran; None if none did.
        reason: why it was not the true one: ``"memory"``, ``"time"``, or empty.
    """

    seconds: float
    shape: Shape | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a probe may use.

    Attributes:
        free_bytes: of memory.
        seconds: for one step, as predicted.
    """

    free_bytes: float
    seconds: float


def probe_network(builder: str, shape: Shape, *, device: str, limits: Limits) -> StepProbe:
    """Time of a step of the network `builder` with a patch of `shape`."""
    shapes = smaller_shapes(builder, shape)
    is_fixed = input_rules(builder).only_shape is not None
    calibration = CALIBRATION_ATTENTION if is_fixed else CALIBRATION
    return probe_step(
        lambda size: measured(builder, size, device),
        lambda size: probe.training_cost(builder, size),
        shapes,
        limits,
        lambda: speed_of(device, calibration),
    )


def probe_step(
    measure: Callable[[Shape], float | None],
    cost: Callable[[Shape], TrainingCost],
    shapes: list[Shape],
    limits: Limits,
    seconds_per_gmac: Callable[[], float],
) -> StepProbe:
    """Time of a step with the patch ``shapes[0]``.

    Args:
        measure: seconds of a step with a patch, None if memory did not suffice after all.
        cost: of a step with a patch.
        shapes: the true patch, then ever smaller ones.
        limits: see `Limits`.
        seconds_per_gmac: of a training step on this computer.
    """
    true = cost(shapes[0])
    rate, reason = 0.0, ""
    if true.gmacs > CHEAP_GMACS:
        rate = seconds_per_gmac()
        if len(shapes) > 1:
            # The network's own speed predicts better than another network's.
            small = measure(shapes[-1])
            rate = small / cost(shapes[-1]).gmacs if small is not None else rate
    for shape in shapes:
        needed = cost(shape)
        if needed.memory_mb * MB > USABLE_SHARE * limits.free_bytes:
            reason = "memory"
            continue
        if rate * needed.gmacs > limits.seconds:
            reason = reason or "time"
            continue
        seconds = measure(shape)
        if seconds is not None:
            scale = true.gmacs / max(needed.gmacs, 1e-9)
            return StepProbe(seconds * scale, shape, reason if shape != shapes[0] else "")
        reason = "memory"
    return StepProbe((rate or seconds_per_gmac()) * true.gmacs, None, reason)


def smaller_shapes(builder: str, shape: Shape) -> list[Shape]:
    """`shape` and what is left of it when its longest axis is halved again and again.

    Only `shape` itself for networks of one shape.
    """
    rules = input_rules(builder)
    steps = rules.multiple_of[3 - rules.axes :]
    found = [shape]
    while rules.only_shape is None and max(found[-1]) > SMALLEST_EDGE:
        longest = found[-1].index(max(found[-1]))
        half = math.ceil(found[-1][longest] / 2 / steps[longest]) * steps[longest]
        half = max(half, 2 * steps[longest])
        if half >= found[-1][longest]:
            break
        found.append(tuple(half if n == longest else size for n, size in enumerate(found[-1])))
    return found


def measured(builder: str, shape: Shape, device: str) -> float | None:
    """Seconds of one step; large ones are not run twice to be measured warm."""
    is_large = probe.training_cost(builder, shape).gmacs > CHEAP_GMACS
    return probe.step_seconds(builder, shape, device=device, warm=not is_large)


@cache
def speed_of(device: str, calibration: tuple[str, Shape] = CALIBRATION) -> float:
    """Seconds of a training step per billion multiply-accumulates of its evaluation."""
    builder, shape = calibration
    seconds = probe.step_seconds(builder, shape, device=device)
    return (seconds or 0.0) / probe.training_cost(builder, shape).gmacs
