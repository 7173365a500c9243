"""The best weights of a training by validation, and when nothing better is to be expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from FlareMRCore.training.checkpoint import State


@dataclass(slots=True)
class Selection:
    """What validation has found so far.

    Attributes:
        value: lowest validation loss.
        step: finished steps when it was found; 0 if there was no validation yet.
        state: the weights of that moment; empty if there was no validation yet.
        stale: validations since then.
    """

    value: float = math.inf
    step: int = 0
    state: State = field(default_factory=dict)
    stale: int = 0

    def consider(self, value: float, step: int, state: Mapping[str, Tensor]) -> None:
        """Keep a copy of `state` if `value` is lower than any before."""
        if value < self.value:
            copy = {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
            self.value, self.step, self.state, self.stale = value, step, copy, 0
        else:
            self.stale += 1

    def content(self) -> dict[str, Any]:
        """For a checkpoint; `restore` is the inverse."""
        return {
            "value": self.value,
            "step": self.step,
            "state": self.state,
            "stale": self.stale,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing if it is of a training without validation."""
        if content:
            self.value, self.step = content["value"], content["step"]
            self.state, self.stale = dict(content["state"]), content["stale"]
