"""Blocks that the convolutional networks share."""

from __future__ import annotations

import pytest
import torch

from FlareMRCore.networks.blocks import BlockStyle, ConvBlock


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradients_over_few_slices_are_right_in_bfloat16(depth: int) -> None:
    torch.manual_seed(0)
    block = ConvBlock(16, 32, style=BlockStyle(3), kernel=(3, 3, 3))
    x = torch.randn(1, 16, depth, 8, 8)
    weights = torch.linspace(0, 1, 32)[None, :, None, None, None]
    gradients = []
    for enabled in (True, False):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            features = block(x)
        (features.float().square() * weights).sum().backward()
        gradient = block.get_parameter("conv.weight").grad
        assert gradient is not None
        gradients.append(gradient.clone())
    assert (gradients[0] - gradients[1]).norm() < 0.1 * gradients[1].norm()
