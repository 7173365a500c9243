"""The winning class of each voxel."""

from __future__ import annotations

import torch
from torch import Tensor


def winning_classes(logits: Tensor) -> Tensor:
    """Class of the largest logit, the first of equal ones: (classes, ...) -> (...) uint8.

    As `argmax(0)`, which on processors takes ten times as long over an outer axis.
    """
    best = logits[0].clone()
    classes = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for channel in range(1, logits.shape[0]):
        classes.masked_fill_(logits[channel] > best, channel)
        torch.maximum(best, logits[channel], out=best)
    return classes
