"""Parameters that stay as they are, chosen by the start of their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from FlareMRCore.errors import UsageError


def freeze(network: nn.Module, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Freeze the parameters whose names start with one of the prefixes; returns their names.

    Instance and layer norms keep no statistics, so what is frozen computes the same for ever.

    Raises:
        UsageError: a prefix fits no parameter.
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            parts = ", ".join(name for name, _ in network.named_children())
            raise UsageError(
                f"No parameter's name starts with '{prefix}'. Parts of the network: {parts}.",
                code="usage.freeze",
            )
    frozen = tuple(name for name in names if prefixes and name.startswith(prefixes))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return frozen


@contextmanager
def held_still(*networks: nn.Module) -> Iterator[None]:
    """Let gradients flow through the networks but not into their parameters."""
    moving = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)
