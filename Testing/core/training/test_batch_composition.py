from collections import Counter

import pytest
import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.training.batch_composition import draw_items
from FlareMRCore.training.distributed import Processes
from FlareMRCore.training.learning_parameters import BatchComposition

CPU = torch.device("cpu")
ALONE = Processes(0, 1, CPU)
MIX = BatchComposition((("labeled", 2), ("corrected", 1), ("pseudo", 1), ("unlabeled", 2)))
SIZES = {"labeled": 5, "corrected": 3, "pseudo": 7, "unlabeled": 11}


def test_counts_are_exact_over_a_thousand_draws() -> None:
    pools, cases = Counter[str](), Counter[tuple[str, int]]()
    for step in range(1000):
        items = draw_items(MIX, SIZES, ALONE, seed=3, step=step)
        assert Counter(item.pool for item in items) == dict(MIX.shares)
        pools.update(item.pool for item in items)
        cases.update((item.pool, item.case) for item in items)
    assert pools == {"labeled": 2000, "corrected": 1000, "pseudo": 1000, "unlabeled": 2000}
    for pool, size in SIZES.items():
        counts = [cases[pool, case] for case in range(size)]
        assert max(counts) - min(counts) <= 1


def test_a_shuffled_round_takes_every_case_once_and_rounds_differ() -> None:
    one = BatchComposition((("labeled", 1),))
    draws = [draw_items(one, {"labeled": 8}, ALONE, seed=0, step=step)[0] for step in range(24)]
    rounds = [[item.case for item in draws[n : n + 8]] for n in (0, 8, 16)]
    assert all(sorted(cases) == list(range(8)) for cases in rounds)
    assert rounds[0] != rounds[1]


def test_random_order_repeats_cases_but_not_seeds() -> None:
    composition = BatchComposition((("labeled", 4),), order="random")
    items = [
        item
        for step in range(50)
        for item in draw_items(composition, {"labeled": 4}, ALONE, seed=0, step=step)
    ]
    assert len({item.seed for item in items}) == len(items) == 200
    assert {item.case for item in items} == {0, 1, 2, 3}


def test_processes_share_each_pool_equally_and_completely() -> None:
    whole = draw_items(MIX_TWO, SIZES, ALONE, seed=1, step=7)
    parts = [draw_items(MIX_TWO, SIZES, Processes(r, 2, CPU), seed=1, step=7) for r in (0, 1)]
    assert sorted((*parts[0], *parts[1]), key=repr) == sorted(whole, key=repr)
    assert all([item.pool for item in part] == ["labeled", "unlabeled"] for part in parts)
    with pytest.raises(UsageError, match="cannot be shared"):
        draw_items(MIX, SIZES, Processes(0, 2, CPU), seed=1, step=7)


MIX_TWO = BatchComposition((("labeled", 2), ("unlabeled", 2)))


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(UsageError, match="'pseudo'"):
        draw_items(MIX, {**SIZES, "pseudo": 0}, ALONE, seed=0, step=0)
