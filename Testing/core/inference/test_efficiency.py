"""Sampling of memory: work that sleeps and holds memory for a known time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from FlareMRCore.inference.efficiency import PERIOD_S, Efficiency, process_memory_mb, sampled


def test_sums_by_hand() -> None:
    samples = Efficiency([0.0, 1.0, 3.0], [10.0, 30.0, 20.0])
    assert samples.seconds == 3.0
    assert samples.largest_mb == 30.0
    assert samples.sum_mb_s == pytest.approx(PERIOD_S * 60.0)
    assert samples.area_mb_s == pytest.approx(20.0 + 50.0)
    assert (Efficiency().seconds, Efficiency().area_mb_s, Efficiency().largest_mb) == (0, 0, 0)


def test_sleeping_while_something_is_held_is_measured_within_a_tenth() -> None:
    start = time.perf_counter()
    with sampled(lambda: 100.0 if time.perf_counter() - start < 0.6 else 300.0) as cost:
        time.sleep(1.2)
    passed = time.perf_counter() - start
    assert cost.seconds == pytest.approx(passed, rel=0.1)
    assert cost.area_mb_s == pytest.approx(0.6 * 100.0 + (passed - 0.6) * 300.0, rel=0.1)
    assert cost.largest_mb == 300.0


def test_held_memory_is_measured_within_a_tenth() -> None:
    before = process_memory_mb()
    with sampled(period_s=0.01) as cost:
        block = np.ones(80 * 1024**2, dtype=np.uint8)
        time.sleep(0.3)
    assert cost.largest_mb - before == pytest.approx(80.0, rel=0.1)
    assert block.size
    del block
    assert process_memory_mb() < before + 40.0


def test_failing_work_is_measured_too_and_the_thread_ends() -> None:
    with pytest.raises(ValueError, match="no"), sampled(period_s=0.01) as cost:
        raise ValueError("no")
    count = len(cost.memory_mb)
    time.sleep(0.05)
    assert len(cost.memory_mb) == count >= 2
