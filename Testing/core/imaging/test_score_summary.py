import math

import numpy as np
import pytest

from FlareMRCore.imaging.metrics import OrganScore
from FlareMRCore.imaging.score_summary import Overall, summarize

NAN = float("nan")


def row(organ: str, value: float) -> OrganScore:
    return OrganScore(organ, 1, "standard", value, value / 2, 2.0, 10 * value, 1.0, 1.0)


def test_means_and_the_three_deviations_by_hand() -> None:
    cases = [
        (row("liver", 0.9), row("spleen", 0.5)),
        (row("liver", 0.7), row("spleen", 0.9)),
    ]
    summary = summarize(cases)
    assert (summary.mode, summary.cases) == ("standard", 2)
    assert [organ.organ for organ in summary.organs] == ["liver", "spleen"]
    assert summary.organs[0].dice.mean == pytest.approx(0.8)
    assert summary.organs[1].dice.std == pytest.approx(0.2)
    expected = Overall(
        mean=0.75,  # of 0.8 and 0.7
        std_across_organs=0.05,  # of 0.8 and 0.7
        mean_organ_std=0.15,  # of 0.1 and 0.2
        std_across_cases=0.05,  # of 0.7 and 0.8
    )
    for name in ("mean", "std_across_organs", "mean_organ_std", "std_across_cases"):
        assert getattr(summary.dice, name) == pytest.approx(getattr(expected, name))
    assert summary.surface_dice.mean == pytest.approx(0.375)
    assert summary.hausdorff_95_mm.mean == pytest.approx(7.5)


def test_undefined_scores_do_not_count() -> None:
    cases = [
        (row("liver", 0.8), row("spleen", NAN), row("aorta", NAN)),
        (row("liver", 0.6), row("spleen", 0.5), row("aorta", NAN)),
    ]
    summary = summarize(cases)
    liver, spleen, aorta = summary.organs
    assert (liver.dice.count, spleen.dice.count, aorta.dice.count) == (2, 1, 0)
    assert math.isnan(aorta.dice.mean)
    assert summary.dice.mean == pytest.approx(0.6)
    assert summary.dice.std_across_cases == pytest.approx((0.8 - 0.55) / 2)


def test_no_cases_no_numbers() -> None:
    summary = summarize([])
    assert (summary.cases, summary.organs) == (0, ())
    assert math.isnan(summary.dice.mean)


def test_deviation_across_organs_is_the_published_one() -> None:
    """Organ means of Li et al. (FLARE24 task 3, validation); the paper prints 79.42 +- 13.72."""
    means = (
        94.99,
        95.06,
        94.95,
        77.9,
        90.28,
        84.32,
        58.45,
        61.4,
        73.53,
        65.66,
        79.62,
        61.06,
        95.18,
    )
    summary = summarize([[row(f"organ {n}", value) for n, value in enumerate(means)]])
    found = np.round([summary.dice.mean, summary.dice.std_across_organs], 2)
    np.testing.assert_array_equal(found, [79.42, 13.72])
