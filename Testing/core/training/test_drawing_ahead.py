"""Samples drawn by other threads: the same ones, in order, and never more than asked for."""

from __future__ import annotations

import os
import threading
import time

import pytest
import torch

from FlareMRCore.training import drawing_ahead
from FlareMRCore.training.drawing_ahead import drawn_ahead, usual_workers

SECONDS = 0.05


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_whatever_the_workers(workers: int) -> None:
    with drawn_ahead(lambda number: number * 10, workers, end=9) as take:
        assert [take(number) for number in range(4, 9)] == [40, 50, 60, 70, 80]


def test_nothing_is_drawn_twice_or_beyond_the_end() -> None:
    drawn: list[int] = []
    with drawn_ahead(lambda number: drawn.append(number), 2, end=6) as take:
        for number in range(6):
            take(number)
    assert sorted(drawn) == list(range(6))


def test_other_threads_draw_while_the_caller_works() -> None:
    """Eight draws and eight steps of equal length must take little more than the steps alone."""
    names = set()

    def draw(number: int) -> int:
        names.add(threading.current_thread().name)
        time.sleep(SECONDS)
        return number

    started = time.perf_counter()
    with drawn_ahead(draw, 2, end=8) as take:
        for number in range(8):
            take(number)
            time.sleep(SECONDS)
    assert time.perf_counter() - started < 13 * SECONDS  # 16 one after the other, 9 at best
    assert threading.current_thread().name not in names


def test_an_error_reaches_the_caller() -> None:
    def draw(number: int) -> int:
        if number == 2:
            raise ValueError("no such case")
        return number

    with drawn_ahead(draw, 2, end=5) as take:
        assert [take(0), take(1)] == [0, 1]
        with pytest.raises(ValueError, match="no such case"):
            take(2)


def test_leaving_early_does_not_wait_for_what_was_not_begun() -> None:
    drawn: list[int] = []

    def draw(number: int) -> None:
        time.sleep(SECONDS)
        drawn.append(number)

    with drawn_ahead(draw, 1, end=100) as take:
        take(0)
    assert len(drawn) <= 3


def test_the_cpu_is_left_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_ahead, "_cores", lambda: 16)
    assert usual_workers(torch.device("cpu")) == 0
    assert usual_workers(torch.device("cuda")) == 8
    assert usual_workers(torch.device("cuda"), processes=4) == 3
    monkeypatch.setattr(drawing_ahead, "_cores", lambda: 1)
    assert usual_workers(torch.device("cuda")) == 0


def test_the_cores_of_this_process_are_counted() -> None:
    assert 1 <= drawing_ahead._cores() <= (os.cpu_count() or 1)
