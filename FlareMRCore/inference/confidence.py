"""How sure a network is of each organ: its own probabilities, and agreement between views."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def winning_probability(logits: Tensor) -> Tensor:
    """Softmax probability of the largest logit, (classes, K, J, I) -> (K, J, I) float32."""
    # Plane by plane: no second copy of all logits.
    planes = [
        torch.exp(plane.amax(0) - torch.logsumexp(plane, dim=0)) for plane in logits.unbind(1)
    ]
    return torch.stack(planes)


def mean_confidences(labels: Tensor, probability: Tensor, classes: int) -> list[float | None]:
    """Mean `probability` over the voxels of each class, same grid; None for classes without."""
    flat = labels.reshape(-1).to(torch.int64).cpu()
    counts = torch.bincount(flat, minlength=classes)
    sums = torch.bincount(flat, probability.reshape(-1).double().cpu(), minlength=classes)
    return [
        float(total / count) if int(count) else None
        for total, count in zip(sums, counts, strict=True)
    ]


def agreements(view_labels: Sequence[Tensor], classes: int) -> list[float | None]:
    """Mean Dice of all pairs of views by class; None for one view, or where no view has it."""
    pairs = list(itertools.combinations(view_labels, 2))
    if not pairs:
        return [None] * classes
    totals = torch.zeros(classes, dtype=torch.float64)
    known = torch.zeros(classes, dtype=torch.float64)
    for first, second in pairs:
        both = _counts(first[first == second], classes)
        size = _counts(first, classes) + _counts(second, classes)
        totals += torch.where(size > 0, 2 * both / size.clamp_min(1), 0.0)
        known += size > 0
    return [
        float(total / count) if count else None for total, count in zip(totals, known, strict=True)
    ]


def _counts(labels: Tensor, classes: int) -> Tensor:
    return torch.bincount(labels.reshape(-1).to(torch.int64), minlength=classes).double()
