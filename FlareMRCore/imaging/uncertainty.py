"""How much pseudo-labels change from round to round, and which cases to trust."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import UsageError


def round_uncertainty(rounds: Sequence[NDArray[np.uint8]]) -> float:
    """Mean over consecutive rounds of changed voxels per foreground voxel of the later one.

    u = 1/(K-1) * sum over i = 2..K of count(y_i != y_(i-1)) / count(y_i > 0). 0 if the rounds
    agree, infinite if one after the first found nothing.

    Args:
        rounds: label arrays of one case, (K, J, I), the latest last.

    Raises:
        UsageError: fewer than two rounds, or arrays of different shapes.

    Source: Huang et al., FLARE22 (as used by Zhu et al., FLARE24 task 3).
    """
    if len(rounds) < 2 or len({labels.shape for labels in rounds}) != 1:
        raise UsageError(
            "Uncertainty needs at least two rounds on one grid; found shapes "
            f"{[labels.shape for labels in rounds]}.",
            code="usage.rounds",
        )
    changes = []
    for earlier, later in itertools.pairwise(rounds):
        foreground = int(np.count_nonzero(later))
        if foreground == 0:
            return math.inf
        changes.append(int(np.count_nonzero(earlier != later)) / foreground)
    return sum(changes) / len(changes)


def certain_cases(
    uncertainty: Mapping[str, float], *, drop_share: float = 0.2, limit: float | None = None
) -> tuple[str, ...]:
    """Ids of the cases to keep, in the order given.

    The `drop_share` most uncertain ones go (rounded down; of equal ones the later ids), and those
    above `limit`, and those of infinite uncertainty.

    Raises:
        UsageError: `drop_share` is not between 0 and 1.
    """
    if not 0 <= drop_share < 1:
        raise UsageError(
            f"The share to drop lies between 0 and 1; found {drop_share}.", code="usage.share"
        )
    ordered = sorted(uncertainty, key=lambda case: (uncertainty[case], case))
    count = math.floor(len(ordered) * drop_share + 1e-9)
    kept = set(ordered[: len(ordered) - count])
    highest = math.inf if limit is None else limit
    return tuple(
        case
        for case, value in uncertainty.items()
        if case in kept and math.isfinite(value) and value <= highest
    )
