"""Means of scores over cases, with each of the three numbers that papers print after a +/-."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from FlareMRCore.imaging.metrics import OrganScore

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and population standard deviation of `count` values; NaN if there are none."""

    mean: float
    std: float
    count: int


@dataclass(frozen=True, slots=True)
class OrganSummary:
    """Scores of one organ over all cases in which they are defined."""

    organ: str
    dice: Spread
    surface_dice: Spread
    hausdorff_95_mm: Spread


@dataclass(frozen=True, slots=True)
class Overall:
    """One score over all organs and cases.

    Attributes:
        mean: mean of the organ means.
        std_across_organs: standard deviation of the organ means.
        mean_organ_std: mean over organs of the standard deviation across cases.
        std_across_cases: standard deviation of the case means.
    """

    mean: float
    std_across_organs: float
    mean_organ_std: float
    std_across_cases: float


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Scores of a set of cases; `mode` is the convention of the scores."""

    mode: str
    cases: int
    organs: tuple[OrganSummary, ...]
    dice: Overall
    surface_dice: Overall
    hausdorff_95_mm: Overall


def summarize(cases: Sequence[Sequence[OrganScore]]) -> ScoreSummary:
    """Summary of the scores of several cases, one sequence of organs each.

    Undefined scores (NaN) do not count. Standard deviations are those of the population (divided
    by n). Without cases all numbers are NaN.
    """
    organs: dict[str, list[OrganScore]] = {}
    for scores in cases:
        for score in scores:
            organs.setdefault(score.organ, []).append(score)
    modes = sorted({score.mode for scores in cases for score in scores})
    return ScoreSummary(
        mode=", ".join(modes),
        cases=len(cases),
        organs=tuple(
            OrganSummary(
                organ,
                _spread([score.dice for score in scores]),
                _spread([score.surface_dice for score in scores]),
                _spread([score.hausdorff_95_mm for score in scores]),
            )
            for organ, scores in organs.items()
        ),
        dice=_overall([{s.organ: s.dice for s in scores} for scores in cases]),
        surface_dice=_overall([{s.organ: s.surface_dice for s in scores} for scores in cases]),
        hausdorff_95_mm=_overall(
            [{s.organ: s.hausdorff_95_mm for s in scores} for scores in cases]
        ),
    )


def _overall(cases: Sequence[dict[str, float]]) -> Overall:
    """Overall numbers of one score, given by organ for each case."""
    organs = dict.fromkeys(organ for case in cases for organ in case)
    by_organ = [_spread([case.get(organ, NAN) for case in cases]) for organ in organs]
    by_case = [_spread(list(case.values())) for case in cases]
    organ_means = _spread([spread.mean for spread in by_organ])
    return Overall(
        mean=organ_means.mean,
        std_across_organs=organ_means.std,
        mean_organ_std=_spread([spread.std for spread in by_organ]).mean,
        std_across_cases=_spread([spread.mean for spread in by_case]).std,
    )


def _spread(values: Sequence[float]) -> Spread:
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return Spread(NAN, NAN, 0)
    return Spread(fmean(defined), pstdev(defined), len(defined))
