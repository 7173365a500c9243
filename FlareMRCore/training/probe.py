"""What a training step of a network costs: parameters, arithmetic, memory, and measured time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from FlareMRCore.inference.device import pick_device
from FlareMRCore.inference.system_memory import available_memory_bytes
from FlareMRCore.networks.builders import network_entry
from FlareMRCore.networks.count import network_cost

MB = 1024**2
BYTES_PER_PARAMETER = 20
"""float32 weight, gradient, two moments of Adam and the moving average."""
LOSS_COPIES = 4
"""Arrays of the size of the logits that loss and softmax hold at once."""


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """Cost of one training step with one sample.

    Attributes:
        parameters: learned values.
        gmacs: billions of multiply-accumulates of one evaluation.
        memory_mb: weights, optimizer, kept activations and loss, estimated.
    """

    parameters: int
    gmacs: float
    memory_mb: float


@cache
def training_cost(builder: str, shape: tuple[int, ...]) -> TrainingCost:
    """Cost for a patch of the spatial `shape`; nothing is computed and no memory is used."""
    entry = network_entry(builder)
    channels = entry.input_shape[0]
    cost = network_cost(entry.build, [(channels, *shape)])
    voxels = 1
    for size in shape:
        voxels *= size
    logits = 4 * entry.classes * voxels * LOSS_COPIES
    kept = _network_bytes(entry.build, (1, channels, *shape))
    memory = cost.parameters * BYTES_PER_PARAMETER + kept + logits
    return TrainingCost(cost.parameters, cost.gmacs, memory / MB)


def step_seconds(
    builder: str, shape: tuple[int, ...], *, device: str = "auto", warm: bool = True
) -> float | None:
    """Measured time of one forward and backward step; None if memory does not suffice for it.

    With `warm` it is that of a second step, which is faster where kernels are chosen in the first.
    """
    entry = network_entry(builder)
    chosen = torch.device(pick_device(device).name)
    needed_mb = training_cost(builder, shape).memory_mb
    if chosen.type == "cpu" and needed_mb * MB > available_memory_bytes():
        return None
    network = entry.build().to(chosen).train()
    x = torch.rand((1, entry.input_shape[0], *shape), device=chosen)
    if warm:
        _step(network, x)
    started = time.perf_counter()
    _step(network, x)
    return time.perf_counter() - started


def _step(network: nn.Module, x: Tensor) -> None:
    total = sum(
        (output.float().square().mean() for output in _tensors(network(x))), x.new_zeros(())
    )
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    total.item()  # waits for the device


def _tensors(output: object) -> list[Tensor]:
    """All tensors of what a network returns: one, a sequence (deep supervision) or branches."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        return [tensor for item in output.values() for tensor in _tensors(item)]
    if isinstance(output, list | tuple):
        return [tensor for item in output for tensor in _tensors(item)]
    return []


def kept_bytes(run: Callable[[], object]) -> int:
    """Bytes of the activations that the backward pass of what `run` computes needs.

    Args:
        run: computes on the meta device; learned values are not counted.
    """
    kept: dict[int, int] = {}
    held: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in kept and not isinstance(tensor, nn.Parameter):
            kept[id(tensor)] = tensor.numel() * tensor.element_size()
            held.append(tensor)  # keeps the identity from being used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(kept.values())


def _network_bytes(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> int:
    with torch.device("meta"):
        network = build().train()
        return kept_bytes(lambda: network(torch.empty(shape)))
