"""Stopwatch and threads."""

import time

import pytest
import torch

from FlareMRCore.inference.session import Stopwatch, torch_threads


def fail_after(seconds: float) -> None:
    time.sleep(seconds)
    raise ValueError("x")


def test_times_of_a_phase_add_up_also_after_a_failure() -> None:
    watch = Stopwatch()
    with watch.phase("fine"):
        time.sleep(0.02)
    with pytest.raises(ValueError, match="x"), watch.phase("fine"):
        fail_after(0.02)
    assert watch.seconds["fine"] >= 0.04
    assert watch.rounded()["coarse"] == 0.0


def test_threads_are_set_back_also_after_a_failure() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ValueError, match="x"), torch_threads(before + 1):
        fail_after(0.0)
    assert torch.get_num_threads() == before
