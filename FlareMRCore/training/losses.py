"""Losses for partially labeled cases.

A voxel's target is a set of classes that its label allows: one class where the organ is annotated,
several where it is not known which (background that may hide an organ nobody annotated in this
case, structures that a data set merges). The cross entropy is that of the probability of the set
(marginal loss; Fidon et al., MICCAI 2021; Shi et al., Med Image Anal 2021), so an unlabeled organ
is never taught as background.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1e-5
FORBIDDEN = -1e4
"""Added to the log probability of classes that a label does not allow."""


def marginal_dice_ce(logits: Tensor, labels: Tensor, allowed: Tensor) -> Tensor:
    """Scalar loss: marginal cross entropy plus 1 - mean soft Dice.

    Args:
        logits: (C, K, J, I).
        labels: (K, J, I) int64 label values, each a row of `allowed`.
        allowed: (V, C) bool, the classes that each label value allows.
    """
    indicator = (torch.arange(len(allowed)).to(labels)[:, None] == labels.flatten()).float()
    with torch.autocast(logits.device.type, enabled=False):
        log_probabilities = functional.log_softmax(logits.flatten(1).float(), dim=0)
        cross_entropy = _marginal_cross_entropy(log_probabilities, indicator, allowed)
        dice = _soft_dice(log_probabilities.exp(), indicator, allowed)
    return cross_entropy + (1 - dice)


def _marginal_cross_entropy(
    log_probabilities: Tensor, indicator: Tensor, allowed: Tensor
) -> Tensor:
    """Mean of -log(sum of the allowed probabilities).

    Args:
        log_probabilities: (C, N).
        indicator: (V, N), 1 where a voxel has a label value.
        allowed: (V, C).
    """
    penalty = torch.where(allowed, 0.0, FORBIDDEN).T @ indicator
    return -torch.logsumexp(log_probabilities + penalty, dim=0).mean()


def _soft_dice(probabilities: Tensor, indicator: Tensor, allowed: Tensor) -> Tensor:
    """Mean soft Dice of the organs that occur, over voxels whose target is certain for them.

    Sums by label value, one product for all organs; arguments as in `_marginal_cross_entropy`.
    """
    is_organ = allowed & (allowed.sum(1, keepdim=True) == 1)
    certain = is_organ | ~allowed
    sums = indicator @ probabilities.T
    volumes = indicator.sum(1) @ is_organ.float()
    overlaps = (sums * is_organ).sum(0)
    scores = (2 * overlaps + SMOOTH) / ((sums * certain).sum(0) + volumes + SMOOTH)
    occurring = volumes[1:] > 0
    if not bool(occurring.any()):
        return probabilities.new_ones(())
    return scores[1:][occurring].mean()
