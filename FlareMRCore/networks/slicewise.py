"""A 2-D network as one that takes volumes: slice by slice along K."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BATCH = 16
"""Slices at once."""


class SliceWise(nn.Module):
    """Runs a 2-D network on each slice of a volume.

    Shape: (B, C, K, J, I) to logits (B, classes, K, J, I).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all slices."""
        count, channels, length, rows, columns = x.shape
        slices = x.transpose(1, 2).reshape(count * length, channels, rows, columns)
        parts = [self.network(slices[n : n + BATCH]) for n in range(0, len(slices), BATCH)]
        logits = torch.cat(parts).reshape(count, length, -1, rows, columns)
        return logits.transpose(1, 2)
