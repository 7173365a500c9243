"""Batches with a fixed mix of pools: so many labeled, corrected, pseudo-labeled, unlabeled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from FlareMRCore.errors import UsageError
from FlareMRCore.training.distributed import Processes
from FlareMRCore.training.learning_parameters import BatchComposition


@dataclass(frozen=True, slots=True)
class ItemDraw:
    """One item of a batch: the case to draw from, and the seed of everything random about it.

    Attributes:
        pool: name of the pool.
        case: number of the case within it.
        number: number of the item among those of its pool in this batch.
        seed: for `numpy.random.default_rng`.
    """

    pool: str
    case: int
    number: int
    seed: tuple[int, ...]


def draw_items(
    composition: BatchComposition,
    pool_sizes: Mapping[str, int],
    processes: Processes,
    *,
    seed: int,
    step: int,
) -> tuple[ItemDraw, ...]:
    """This process's items of the batch of a step; together the processes draw it exactly once.

    The answer depends on the arguments only: the step is the sampler's position.

    Raises:
        UsageError: a pool is empty, or its items cannot be shared by the processes.
    """
    items = []
    for pool_number, (pool, count) in enumerate(composition.shares):
        size = pool_sizes.get(pool, 0)
        if count and not size:
            raise UsageError(
                f"Every batch needs {count} of pool '{pool}', which has no cases.",
                code="usage.pool",
                hint=f"Pools with cases: {', '.join(p for p, n in pool_sizes.items() if n)}.",
            )
        for number in processes.share(count):
            place = (seed, pool_number)
            case = _case(composition, size, place, step * count + number)
            items.append(ItemDraw(pool, case, number, (*place, 2, step, number)))
    return tuple(items)


def _case(composition: BatchComposition, size: int, place: tuple[int, int], draw: int) -> int:
    """Case of draw number `draw` from a pool."""
    if composition.order == "random":
        return int(np.random.default_rng([*place, 0, draw]).integers(size))
    round_number, position = divmod(draw, size)
    return int(np.random.default_rng([*place, 1, round_number]).permutation(size)[position])
