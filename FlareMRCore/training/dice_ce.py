"""Cross entropy plus soft Dice, with every option the five systems use."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.distributed import sum_over_processes
from FlareMRCore.training.learning_parameters import DiceCE

IMPOSSIBLE = -1e4
"""Logit of classes that are taken out: a probability of exactly 0."""


def dice_ce(
    logits: Tensor, labels: Tensor, options: DiceCE, *, known: Tensor | None = None
) -> Tensor:
    """Scalar loss; 0 is reached by a perfect prediction, or if every voxel is ignored.

    Args:
        logits: (B, C, ...).
        labels: (B, ...) int64.
        options: see `DiceCE`.
        known: (B, C) bool, which classes are annotated in each sample; the others may hide in its
            background and cost nothing there. None: all.
    """
    logits = logits.float()
    valid = labels != options.ignore
    target = torch.where(valid, labels, 0)
    if known is not None:
        target = torch.where(_of_voxels(known, target), target, 0)
        logits = _hide_in_background(logits, known)
    log_probabilities = functional.log_softmax(logits, dim=1)
    cross_entropy = _cross_entropy(log_probabilities, target, valid, options)
    dice = _mean_dice(log_probabilities.exp(), target, valid, options=options, known=known)
    return options.cross_entropy_weight * cross_entropy + options.dice_weight * (1 - dice)


def _of_voxels(known: Tensor, target: Tensor) -> Tensor:
    """Whether each voxel's class is annotated in its sample."""
    return known.gather(1, target.flatten(1)).reshape(target.shape)


def _hide_in_background(logits: Tensor, known: Tensor) -> Tensor:
    """Background takes the probability of all classes that are not annotated."""
    unknown = ~known.reshape(*known.shape, *(1,) * (logits.ndim - 2))
    joined = unknown.clone()
    joined[:, 0] = True
    background = torch.logsumexp(logits.masked_fill(~joined, IMPOSSIBLE), dim=1, keepdim=True)
    organs = logits[:, 1:].masked_fill(unknown[:, 1:], IMPOSSIBLE)
    return torch.cat((background, organs), dim=1)


def _cross_entropy(
    log_probabilities: Tensor, target: Tensor, valid: Tensor, options: DiceCE
) -> Tensor:
    """Mean over valid voxels of all processes, weighted by class."""
    weights = valid.to(log_probabilities.dtype)
    if options.class_weights:
        by_class = log_probabilities.new_tensor(options.class_weights)
        weights = weights * by_class[target]
    loss = -log_probabilities.gather(1, target[:, None])[:, 0] * weights
    total = sum_over_processes(torch.stack((loss.sum(), weights.sum())))
    return total[0] / total[1].clamp(min=torch.finfo(total.dtype).tiny)


def _mean_dice(
    probabilities: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    options: DiceCE,
    known: Tensor | None,
) -> Tensor:
    hot = functional.one_hot(target, probabilities.shape[1]).movedim(-1, 1)
    hot = (hot * valid[:, None]).to(probabilities.dtype)
    p = probabilities * valid[:, None]
    space = tuple(range(2, p.ndim))
    sizes = (p**2 + hot**2) if options.squared else (p + hot)
    overlaps, sizes = (p * hot).sum(space), sizes.sum(space)
    counted = torch.ones_like(overlaps) if known is None else known.to(overlaps.dtype)
    if options.batch:
        sums = torch.stack((overlaps.sum(0), sizes.sum(0), counted.sum(0)))
        overlaps, sizes, counted = sum_over_processes(sums)
        counted = counted.clamp(max=1)
    scores = (2 * overlaps + options.smooth) / (sizes + options.smooth)
    first = 0 if options.background else 1
    scores, counted = scores[..., first:], counted[..., first:]
    return (scores * counted).sum() / counted.sum().clamp(min=1)
