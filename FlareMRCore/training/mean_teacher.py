"""The teacher: moving average of a network, and what it says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from FlareMRCore.training.checkpoint import State
from FlareMRCore.training.learning_parameters import Averaging


def average_decay(averaging: Averaging, step: int) -> float:
    """Share of the average that stays in update number `step`, counted from 1.

    Source of "teacher": Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017.
    """
    if averaging.rule == "teacher":
        return min(1 - 1 / (step + 1), averaging.decay)
    if averaging.rule == "gentle":
        return min(averaging.decay, step / (step + 10))
    return averaging.decay


def averaged_names(network: nn.Module, averaging: Averaging) -> tuple[str, ...]:
    """Names of the state that is averaged."""
    if averaging.rule == "none":
        return ()
    prefixes = averaging.prefixes or ("",)
    return tuple(name for name in network.state_dict() if name.startswith(prefixes))


def teacher_outputs(network: nn.Module, average: State, image: Tensor) -> list[Tensor]:
    """Logits of the network with averaged weights, finest first; no gradient.

    The network stays in the mode it is in: in training its dropout is at work for the teacher too.
    """
    with torch.no_grad():
        outputs = functional_call(network, average, (image,))
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
