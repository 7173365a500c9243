"""Losses at several resolutions, either by shrinking labels or by enlarging logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from FlareMRCore.errors import UsageError

Mode = Literal["label-down", "logit-up"]
VoxelLoss = Callable[[Tensor, Tensor], Tensor]
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def supervision_weights(levels: int, *, last_counts: bool) -> tuple[float, ...]:
    """1, 1/2, 1/4 ... by level, finest first, divided by their sum.

    Args:
        levels: number of outputs.
        last_counts: False gives the coarsest of several outputs the weight 0.

    >>> supervision_weights(4, last_counts=False)  # 4/7, 2/7, 1/7, 0
    (0.5714285714285714, 0.2857142857142857, 0.14285714285714285, 0.0)
    """
    weights = [0.5**level for level in range(levels)]
    if levels > 1 and not last_counts:
        weights[-1] = 0.0
    return tuple(weight / sum(weights) for weight in weights)


def deeply_supervised(
    logits: Tensor | Sequence[Tensor],
    labels: Tensor,
    loss: VoxelLoss,
    *,
    weights: Sequence[float],
    mode: Mode,
) -> Tensor:
    """Weighted sum of the losses of all outputs, or the loss of the only one.

    Args:
        logits: (B, C, ...), or a list of them at falling resolution.
        labels: (B, ...) int64 at the finest resolution.
        loss: of logits and labels of one shape.
        weights: by output, finest first.
        mode: ``"label-down"`` shrinks labels to each output (nearest), ``"logit-up"`` enlarges
            logits to the labels (linear).

    Raises:
        UsageError: not one weight per output.
    """
    outputs = [logits] if isinstance(logits, Tensor) else list(logits)
    if len(outputs) == 1:
        return loss(outputs[0], labels)
    if len(weights) != len(outputs):
        raise UsageError(
            f"The network has {len(outputs)} outputs but there are {len(weights)} weights.",
            code="usage.deep-supervision",
        )
    terms = [
        weight * loss(*_matched(output, labels, mode))
        for output, weight in zip(outputs, weights, strict=True)
        if weight
    ]
    return torch.stack(terms).sum()


def shrunk_labels(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Labels (B, ...) of another shape, each voxel with the label nearest to its center."""
    if tuple(labels.shape[1:]) == tuple(shape):
        return labels
    # float64 keeps every label exactly; torch does not interpolate integers.
    values = labels[:, None].double()
    return functional.interpolate(values, size=tuple(shape), mode="nearest-exact")[:, 0].long()


def _matched(output: Tensor, labels: Tensor, mode: Mode) -> tuple[Tensor, Tensor]:
    shape = tuple(labels.shape[1:])
    if mode == "label-down":
        return output, shrunk_labels(labels, output.shape[2:])
    if tuple(output.shape[2:]) == shape:
        return output, labels
    enlarged = functional.interpolate(output, shape, mode=_LINEAR[len(shape)], align_corners=False)
    return enlarged, labels
