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


def marginal_dice_ce(logits: Tensor, labels: Tensor, allowed: Tensor) -> Tensor:
    """Scalar loss: marginal cross entropy plus 1 - mean soft Dice.

    Args:
        logits: (C, K, J, I).
        labels: (K, J, I) int64 label values, each a row of `allowed`.
        allowed: (V, C) bool, the classes that each label value allows.
    """
    flat = logits.flatten(1)
    values = labels.flatten()
    log_probabilities = functional.log_softmax(flat, dim=0)
    cross_entropy = _marginal_cross_entropy(log_probabilities, values, allowed)
    dice = _soft_dice(log_probabilities.exp(), values, allowed)
    return cross_entropy + (1 - dice)


def _marginal_cross_entropy(log_probabilities: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    """Mean of -log(sum of the allowed probabilities); singletons by a cheap gather."""
    sizes = allowed.sum(1)
    single = sizes[values] == 1
    target = allowed.float().argmax(1)[values]
    loss = -log_probabilities.gather(0, target[None])[0]
    several = ~single
    if bool(several.any()):
        chosen = log_probabilities[:, several]
        penalty = torch.where(allowed[values[several]].T, 0.0, -1e4)
        loss = loss.masked_scatter(several, -torch.logsumexp(chosen + penalty, dim=0))
    return loss.mean()


def _soft_dice(probabilities: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    """Mean soft Dice of the organs that occur, over voxels whose target is certain for them."""
    sizes = allowed.sum(1)
    scores = []
    for organ in range(1, allowed.shape[1]):
        certain_values = (sizes == 1) | ~allowed[:, organ]
        is_organ = ((sizes == 1) & allowed[:, organ])[values]
        if not bool(is_organ.any()):
            continue
        p = probabilities[organ] * certain_values[values]
        overlap = p[is_organ].sum()
        scores.append((2 * overlap + SMOOTH) / (p.sum() + is_organ.sum() + SMOOTH))
    if not scores:
        return probabilities.new_ones(())
    return torch.stack(scores).mean()
