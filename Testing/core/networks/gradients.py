"""How far a weight's gradient in bfloat16 is from that in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def bfloat16_gradient_error(
    network: nn.Module, weight: str, x: Tensor, loss: Callable[[Tensor], Tensor]
) -> float:
    """Norm of the difference, relative to the gradient in float32."""
    gradients = []
    for enabled in (True, False):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = network(x)
        loss(output.float()).backward()  # type: ignore[no-untyped-call]
        gradient = network.get_parameter(weight).grad
        assert gradient is not None
        gradients.append(gradient.clone())
    return float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
