"""Several processes that train one network, started by torchrun (or not: then there is one)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from FlareMRCore.errors import UsageError

_TRAININGS = itertools.count(1)
"""Numbers of the trainings that this process has joined; the same in all processes."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Which of how many processes this one is, and its device.

    Attributes:
        rank: number of this process, 0 is the one that writes files.
        count: number of processes.
        device: where this process computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, items: int) -> range:
        """Numbers of the `items` that this process draws.

        Raises:
            UsageError: they cannot be shared equally.
        """
        if items % self.count:
            raise UsageError(
                f"{items} items of a batch cannot be shared by {self.count} processes.",
                code="usage.processes",
                hint="Start a number of processes that divides every part of the batch.",
            )
        return range(self.rank, items, self.count)


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started; alone without its environment variables.

    On the CPU they talk through gloo, on CUDA through nccl, where each takes the card with its
    local rank. The block ends for all of them at once, so that what one wrote is there for all.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    _join("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count, device)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _join(backend: str) -> None:
    """Join torchrun's processes under a name that no earlier training of theirs had.

    torchrun's key-value store outlives a process group, and what an earlier group left there
    would let the next one wait for addresses that are gone.
    """
    store, rank, count = next(rendezvous("env://"))
    name = f"training{next(_TRAININGS)}"
    prefixed = dist.PrefixStore(name, store)  # type: ignore[attr-defined]  # torch does export it
    dist.init_process_group(backend, store=prefixed, rank=rank, world_size=count)


def sum_over_processes(value: Tensor) -> Tensor:
    """Sum of a tensor over all processes, through which gradients flow; alone: the tensor.

    Gradients are meant to be averaged afterwards (`average_gradients`).
    """
    if not _several():
        return value
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return total


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of all processes' gradients.

    A parameter that got none in this process counts as zero, because another may have one.
    """
    if not _several():
        return
    count = dist.get_world_size()
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= count


def mean_over_processes(value: float, device: torch.device) -> float:
    """Mean of a number over all processes."""
    if not _several():
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def any_process(flag: bool, device: torch.device) -> bool:  # noqa: FBT001 - a question about it
    """Whether the flag is set in any process."""
    return mean_over_processes(float(flag), device) > 0


def broadcast_state(state: Mapping[str, Tensor]) -> None:
    """Copy the tensors of process 0 to all others, in place."""
    if _several():
        for value in state.values():
            dist.broadcast(value, src=0)


def gather_values(value: Any) -> list[Any]:
    """The value of every process in order of their rank; everybody gets the list."""
    if not _several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Sum(torch.autograd.Function):
    """Sum over processes; its derivative sums what all of them ask for."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total
