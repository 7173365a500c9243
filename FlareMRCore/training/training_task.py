"""What a training is: batches, losses, groups of parameters, and the state that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from FlareMRCore.training.checkpoint import State
from FlareMRCore.training.learning_parameters import Optimization
from FlareMRCore.training.selection import Selection


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step learns from: tensors by name, and the names of the cases they show."""

    tensors: Mapping[str, Tensor]
    case_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """A loss, the group of parameters it updates, and its terms for the curve."""

    group: str
    loss: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that one optimizer updates: those whose names start with a prefix."""

    optimization: Optimization
    prefixes: tuple[str, ...] = ("",)


@dataclass(slots=True)
class TrainingState:
    """What changes during training.

    Attributes:
        network: everything that learns.
        optimizers: by group.
        scaler: of the loss, for float16.
        average: moving average of the network's state; empty if there is none.
        memory: tensors that the task keeps from step to step.
        step: finished steps.
        selection: the best weights so far, if there is validation.
    """

    network: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    scaler: torch.amp.GradScaler
    average: State
    memory: State
    step: int = 0
    selection: Selection = field(default_factory=Selection)

    def exported(self) -> State:
        """The network's state, averaged where there is an average."""
        return {**self.network.state_dict(), **self.average}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTask:
    """What is trained.

    Attributes:
        network: everything that learns, on the device; parts may be frozen.
        groups: parameters by the name that objectives use.
        draw: the batch of that number, on the device; the same for the same number, in any
            thread.
        objectives: losses of a batch in order of their updates; code after a `yield` sees the
            updated network.
        identity: text that a checkpoint must agree with.
        memory: see `TrainingState`; empty at the start.
        validate: loss on cases that nothing learns from, in whole numbers of steps; None without.
    """

    network: nn.Module
    groups: Mapping[str, ParameterGroup]
    draw: Callable[[int], Batch]
    objectives: Callable[[Batch, TrainingState], Iterator[Objective]]
    identity: str
    memory: State = field(default_factory=dict)
    validate: Callable[[TrainingState], float] | None = None
