"""What inputs a network takes, found by building it without memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from FlareMRCore.networks.builders import network_entry
from FlareMRCore.networks.phtrans import PHTrans
from FlareMRCore.networks.unet import UNet

OWN_MULTIPLE = 16
"""Of FlareMR's own networks."""


@dataclass(frozen=True, slots=True)
class InputRules:
    """What a network asks of its input.

    Attributes:
        axes: spatial axes, 2 or 3.
        multiple_of: what each axis (K, J, I) is a multiple of; 1 along K for a 2-D network.
        only_shape: the only spatial shape it takes, if there is one.
    """

    axes: int
    multiple_of: tuple[int, int, int]
    only_shape: tuple[int, ...] | None


def input_rules(builder: str) -> InputRules:
    """Rules of the network `builder`.

    Raises:
        UsageError: there is no such network.
    """
    entry = network_entry(builder)
    shape = entry.input_shape[1:]
    with torch.device("meta"):
        network = entry.build()
    if isinstance(network, PHTrans):
        return InputRules(len(shape), (1, 1, 1), shape)
    own = (OWN_MULTIPLE,) * len(shape)
    steps = network.plan.multiple_of if isinstance(network, UNet) else own
    k, j, i = (1,) * (3 - len(steps)) + tuple(steps)
    return InputRules(len(shape), (k, j, i), None)
