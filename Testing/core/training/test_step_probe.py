"""Timing of steps that may be too large for this computer."""

from __future__ import annotations

from math import prod

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.training.probe import MB, TrainingCost  # noqa: E402
from FlareMRCore.training.step_probe import (  # noqa: E402
    Limits,
    StepProbe,
    probe_network,
    probe_step,
    smaller_shapes,
)

pytestmark = pytest.mark.torch
SHAPES = [(128, 128, 128), (64, 128, 128), (64, 64, 128), (64, 64, 64)]
SECONDS_PER_VOX = 1e-5


def _cost(shape: tuple[int, ...]) -> TrainingCost:
    return TrainingCost(1000, prod(shape) / 1e4, prod(shape) * 1000 / MB)


def _probe(free_bytes: float, seconds: float) -> tuple[StepProbe, list[tuple[int, ...]]]:
    ran = []

    def measure(shape: tuple[int, ...]) -> float:
        ran.append(shape)
        return prod(shape) * SECONDS_PER_VOX

    return probe_step(measure, _cost, SHAPES, Limits(free_bytes, seconds), lambda: 1.0), ran


def test_the_true_patch_is_timed_where_memory_and_time_allow() -> None:
    found, ran = _probe(1e10, 100.0)
    assert (found.shape, found.reason) == (SHAPES[0], "")
    assert found.seconds == pytest.approx(128**3 * SECONDS_PER_VOX)
    assert ran == [SHAPES[-1], SHAPES[0]]


@pytest.mark.parametrize(
    ("free_bytes", "seconds", "shape", "reason"),
    [(1.3e9, 100.0, SHAPES[1], "memory"), (1e10, 6.0, SHAPES[2], "time")],
)
def test_else_the_largest_that_fits_is_timed_and_scaled(
    free_bytes: float, seconds: float, shape: tuple[int, ...], reason: str
) -> None:
    found, ran = _probe(free_bytes, seconds)
    assert (found.shape, found.reason) == (shape, reason)
    assert found.seconds == pytest.approx(128**3 * SECONDS_PER_VOX)
    assert SHAPES[0] not in ran


def test_without_any_memory_the_arithmetic_tells() -> None:
    found, _ = _probe(1.0, 100.0)
    assert (found.shape, found.reason) == (None, "memory")
    assert found.seconds > 0


def test_patches_are_halved_in_steps_of_the_network() -> None:
    assert smaller_shapes("zhu2024-small", (40, 224, 192))[:3] == [
        (40, 224, 192),
        (40, 112, 192),
        (40, 112, 96),
    ]
    assert smaller_shapes("li2024-fine", (96, 192, 192)) == [(96, 192, 192)]
    assert smaller_shapes("ye2023-student", (224, 224))[-1] == (32, 32)
    for shape in smaller_shapes("he2024", (48, 160, 224)):
        assert all(n % m == 0 for n, m in zip(shape, (8, 32, 32), strict=True))


def test_a_small_network_is_really_run() -> None:
    found = probe_network("unet-mini", (16, 16, 16), device="cpu", limits=Limits(1e10, 60.0))
    assert found.shape == (16, 16, 16)
    assert found.seconds > 0
