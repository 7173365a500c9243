"""Uncertainty over rounds: values known in closed form, and who is dropped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.uncertainty import certain_cases, round_uncertainty


def cube(size: int, start: int = 0) -> np.ndarray:
    labels = np.zeros((10, 10, 10), dtype=np.uint8)
    labels[start : start + size, :4, :5] = 3
    return labels


def test_equal_rounds_are_certain():
    assert round_uncertainty([cube(4)] * 3) == 0.0


def test_growth_and_shift_in_closed_form():
    # 4 to 5 slices: one of five changed; moved by one slice: two of five changed.
    assert round_uncertainty([cube(4), cube(5)]) == pytest.approx(1 / 5)
    assert round_uncertainty([cube(4), cube(5), cube(5, 1)]) == pytest.approx((1 / 5 + 2 / 5) / 2)


def test_another_label_counts_as_changed():
    other = np.where(cube(4) > 0, np.uint8(2), np.uint8(0))
    assert round_uncertainty([cube(4), other]) == 1.0


def test_order_matters_because_the_later_round_divides():
    assert round_uncertainty([cube(5), cube(4)]) == pytest.approx(1 / 4)


def test_an_empty_round_is_never_trusted():
    empty = cube(0)
    assert round_uncertainty([cube(4), empty]) == math.inf
    assert round_uncertainty([empty, cube(4)]) == 1.0


@pytest.mark.parametrize("rounds", [[], [cube(4)], [cube(4), cube(4)[:5]]])
def test_what_has_no_uncertainty(rounds):
    with pytest.raises(UsageError, match="two rounds"):
        round_uncertainty(rounds)


def test_the_most_uncertain_share_is_dropped():
    values = {f"case{n}": n / 10 for n in range(10)}
    assert certain_cases(values) == tuple(f"case{n}" for n in range(8))
    assert certain_cases(values, drop_share=0.0, limit=0.35) == ("case0", "case1", "case2", "case3")
    assert certain_cases(values, drop_share=0.0) == tuple(values)
    assert certain_cases({"b": 1.0, "a": 1.0}, drop_share=0.5) == ("a",)
    assert certain_cases({"a": math.inf, "b": 2.0}, drop_share=0.0) == ("b",)
    assert certain_cases({}) == ()


def test_published_proportion():
    # 76 of 2000 were removed in FLARE22.
    values = {f"{n:04d}": float(n) for n in range(2000)}
    assert len(certain_cases(values, drop_share=0.038)) == 1924


def test_a_share_is_a_share():
    with pytest.raises(UsageError, match="between 0 and 1"):
        certain_cases({"a": 1.0}, drop_share=20)
