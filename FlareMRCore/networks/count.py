"""Size and cost of a network, without memory for its numbers and without computing any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Learned numbers, and billions of multiply-accumulates of one evaluation (batch 1)."""

    parameters: int
    gmacs: float


def count_parameters(network: nn.Module) -> int:
    """Number of learned values."""
    return sum(parameter.numel() for parameter in network.parameters())


def network_cost(
    build: Callable[[], nn.Module], input_shapes: Sequence[tuple[int, ...]]
) -> NetworkCost:
    """Cost of the network that `build` makes, on inputs of the given shapes (no batch axis).

    Convolutions, matrix products and attention are counted; norms and activations are not.
    """
    with torch.device("meta"):
        network = build().eval()
        inputs = [torch.empty((1, *shape)) for shape in input_shapes]
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(*inputs)
    # The counter takes a multiplication and an addition for two operations.
    return NetworkCost(count_parameters(network), counter.get_total_flops() / 2e9)
