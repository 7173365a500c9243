"""Samples drawn by other threads while the network learns from those before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Drawn = TypeVar("Drawn")
MOST_WORKERS = 8


def usual_workers(device: torch.device, processes: int = 1) -> int:
    """Threads that draw ahead if nobody says how many: none where the network needs the cores.

    Beside a graphics card, the cores that remain to each of `processes`, at most `MOST_WORKERS`.
    """
    if device.type == "cpu":
        return 0
    return min(MOST_WORKERS, _cores() // processes - 1)


def _cores() -> int:
    """Cores that this process may use; a scheduler may have given it a few of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def drawn_ahead(
    draw: Callable[[int], Drawn], workers: int, *, end: int
) -> Iterator[Callable[[int], Drawn]]:
    """`draw`, whose next results are prepared by `workers` threads; with none of them, itself.

    Results must depend on the number alone: they are the same with any number of workers.

    Args:
        draw: result of that number; what it raises is raised where the number is asked for.
        workers: threads, each with one thread of torch.
        end: one more than the last number that will be asked for.
    """
    if workers < 1:
        yield draw
        return
    waiting: dict[int, Future[Drawn]] = {}
    pool = ThreadPoolExecutor(workers, "draw", torch.set_num_threads, (1,))

    def take(number: int) -> Drawn:
        for ahead in range(number, min(number + workers + 1, end)):
            if ahead not in waiting:
                waiting[ahead] = pool.submit(draw, ahead)
        return waiting.pop(number).result()

    try:
        yield take
    finally:
        pool.shutdown(cancel_futures=True)
