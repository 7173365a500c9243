"""Running one network over one input: views, windows, precision, progress and cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from FlareMRCore.data.geometry import Shape
from FlareMRCore.errors import WeightsError
from FlareMRCore.inference.memory import Plan
from FlareMRCore.inference.precision import autocast
from FlareMRCore.inference.preparation import pad_to_multiple
from FlareMRCore.inference.sliding_window import predict_windows, window_boxes
from FlareMRCore.inference.views import apply_view, parse_view, undo_view
from FlareMRCore.inference.winners import winning_classes
from FlareMRCore.progress import Reporter
from FlareMRCore.weights.registry import NetworkSpec

TICK_S = 0.2
"""Progress is told, and cancellation looked at, not more often than this."""


@dataclass(slots=True)
class Ticker:
    """Counts layers of forward passes and tells the reporter, at most every `TICK_S`.

    `total` grows as more passes become known; what is told never goes back.
    """

    reporter: Reporter
    stage: str
    total: int = 0
    done: int = 0
    last_s: float = 0.0

    def tick(self) -> None:
        """One layer is about to run. Raises `Cancelled` if the user asked to stop."""
        self.done += 1
        now = time.monotonic()
        if now - self.last_s >= TICK_S:
            self.last_s = now
            self.reporter.advance(self.stage, min(self.done, self.total), self.total)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Logits of one network.

    Attributes:
        logits: mean over the views, (classes, K, J, I) float32 on the unpadded input grid.
        view_labels: label of the largest logit for each view, (K, J, I) uint8; empty with one.
        overflowed: True if half precision overflowed and float32 was used after all.
    """

    logits: Tensor
    view_labels: tuple[Tensor, ...]
    overflowed: bool


def predict(
    network: nn.Module,
    x: Tensor,
    spec: NetworkSpec,
    plan: Plan,
    *,
    dtype: torch.dtype,
    ticker: Ticker,
) -> Prediction:
    """Mean logits of `network` over the views of `plan`.

    Args:
        network: in evaluation mode, on `plan.device`.
        x: standardized input (1, 1, K, J, I), on any device.
        spec: how the network wants to be fed.
        plan: views, windows and devices.
        dtype: number format of the arithmetic.
        ticker: is told about every layer.

    Raises:
        WeightsError: the network's output does not fit the input, or is not finite.
        Cancelled: the user asked to stop.
    """
    passes = _Passes(network, plan.device, dtype)
    total: Tensor | None = None
    view_labels: list[Tensor] = []
    with torch.inference_mode(), ticking(network, ticker):
        for name in plan.views:
            logits = _view_logits(passes, x, spec, plan, name, ticker)
            if len(plan.views) > 1:
                view_labels.append(winning_classes(logits[0]).cpu())
            total = logits if total is None else total.add_(logits)
        if total is None:
            raise ValueError("At least one view is needed.")
        total = total.div_(len(plan.views))
    return Prediction(total[0], tuple(view_labels), passes.overflowed)


@dataclass(slots=True, eq=False)
class _Passes:
    """Forward passes of one network; remembers an overflow."""

    network: nn.Module
    device: str
    dtype: torch.dtype
    overflowed: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Float32 logits of one input, on the device."""
        x = x.to(self.device)
        with autocast(self.device, self.dtype):
            logits: Tensor = self.network(x).float()
        if self.dtype != torch.float32 and not bool(torch.isfinite(logits).all()):
            self.overflowed, self.dtype = True, torch.float32
            logits = self.network(x).float()
        _check_logits(logits, x)
        return logits


def _view_logits(
    passes: Callable[[Tensor], Tensor],
    x: Tensor,
    spec: NetworkSpec,
    plan: Plan,
    name: str,
    ticker: Ticker,
) -> Tensor:
    """Logits (1, classes, K, J, I) of one view on the grid of `x`."""
    view = parse_view(name)
    if view.zoom != 1.0 and spec.fixed_shape is not None:
        raise WeightsError(
            f"'{spec.builder}' takes one shape only and cannot look at the view '{name}'.",
            code="weights.views",
        )
    seen, inner = pad_to_multiple(apply_view(x, view), spec.multiple_of)
    shape = _spatial(seen)
    boxes = window_boxes(shape, plan.window or shape, plan.overlap)
    ticker.total = max(ticker.total, len(boxes) * len(plan.views) * _leaves(passes))
    if len(boxes) == 1:
        logits = passes(seen).to(plan.accumulate_on)
    else:
        logits = predict_windows(passes, seen, boxes, accumulate_on=plan.accumulate_on)
    return undo_view(logits[(..., *inner.slices)], view, _spatial(x)).contiguous()


def leaf_modules(network: nn.Module) -> Sequence[nn.Module]:
    """Modules of `network` that hold no other modules."""
    return [module for module in network.modules() if not list(module.children())]


@contextmanager
def ticking(network: nn.Module, ticker: Ticker) -> Iterator[None]:
    """Within it every layer of `network` ticks, so that a long pass can be cancelled too."""

    def before(_module: nn.Module, _inputs: object) -> None:
        ticker.tick()

    handles = [module.register_forward_pre_hook(before) for module in leaf_modules(network)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _leaves(passes: Callable[[Tensor], Tensor]) -> int:
    return len(leaf_modules(passes.network)) if isinstance(passes, _Passes) else 1


def _check_logits(logits: Tensor, x: Tensor) -> None:
    if logits.ndim != 5 or logits.shape[2:] != x.shape[2:]:
        raise WeightsError(
            f"The network answers an input of shape {tuple(x.shape)} with "
            f"{tuple(logits.shape)}; expected the same spatial shape.",
            code="weights.output",
        )
    if not bool(torch.isfinite(logits).all()):
        raise WeightsError(
            "The network's output is not finite.",
            code="weights.output",
            hint="The weights are damaged: run 'weights verify', or fetch them again.",
        )


def _spatial(x: Tensor) -> Shape:
    return x.shape[2], x.shape[3], x.shape[4]
