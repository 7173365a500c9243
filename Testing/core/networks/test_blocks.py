"""Blocks that the convolutional networks share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from FlareMRCore.networks.blocks import BlockStyle, ConvBlock

sys.path.insert(0, str(Path(__file__).parent))
from gradients import bfloat16_gradient_error


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradients_over_few_slices_are_right_in_bfloat16(depth: int) -> None:
    torch.manual_seed(0)
    block = ConvBlock(16, 32, style=BlockStyle(3), kernel=(3, 3, 3))
    weights = torch.linspace(0, 1, 32)[None, :, None, None, None]
    error = bfloat16_gradient_error(
        block,
        "conv.weight",
        torch.randn(1, 16, depth, 8, 8),
        lambda features: (features.square() * weights).sum(),
    )
    assert error < 0.1
