"""Fitting a network into memory: an estimate before, and a ladder of smaller ways after."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from FlareMRCore.data.geometry import Shape
from FlareMRCore.errors import OutOfMemoryError, reason_of
from FlareMRCore.inference.sliding_window import Overlap
from FlareMRCore.inference.views import IDENTITY
from FlareMRCore.progress import Reporter

USABLE_SHARE = 0.8
"""Share of the free memory that a plan may use; the rest is for other programs and surprises."""
LIVE_LAYERS = 6
"""Largest layers that are alive at once in a U-Net: skip, upsampled, joined (twice), in, out."""
DEFAULT_BYTES_PER_VOX = 4096
"""For networks that cannot be measured on a small input: about 170 channels."""
FIRST_WINDOW_VOX = 128
SMALLEST_WINDOW_VOX = 32
MB = 1024.0**2

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "defaultcpuallocator",
)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network runs over its input.

    Attributes:
        device: where.
        window: shape of sliding windows; None for the whole input at once.
        accumulate_on: device of the sum over windows and views.
        views: names of the views.
        overlap: of sliding windows.
    """

    device: str
    window: Shape | None
    accumulate_on: str
    views: tuple[str, ...]
    overlap: Overlap = "adaptive"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a network needs for one input.

    Attributes:
        shape: padded input (K, J, I).
        multiple_of: what window edges are multiples of.
        classes: channels of the logits.
        bytes_per_vox: peak memory of the network per voxel of its input.
        can_window: False for networks that take one shape only.
    """

    shape: Shape
    multiple_of: Shape
    classes: int
    bytes_per_vox: float
    can_window: bool

    def peak_bytes(self, plan: Plan) -> float:
        """Estimated peak on the plan's device."""
        window = plan.window or self.shape
        sums = 2 if len(plan.views) > 1 or plan.window else 1
        held = 4.0 * self.classes * sums * math.prod(self.shape)
        work = self.bytes_per_vox * math.prod(min(a, b) for a, b in zip(window, self.shape))  # noqa: B905
        return work + (held if plan.accumulate_on == plan.device else 0.0)


def network_bytes_per_vox(
    network: nn.Module, multiple_of: Shape, channels: int, *, shape: Shape | None = None
) -> float:
    """Estimated peak memory of `network` in evaluation mode, per voxel of its input.

    Its largest layer is measured on one of the smallest inputs it takes, or on one of `shape`.
    """
    largest = 0

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel())

    k, j, i = multiple_of
    shape = shape or (k, j, 2 * i)  # normalization needs two voxels at the coarsest level
    held = itertools.chain(network.parameters(), network.buffers())
    device = next((tensor.device for tensor in held), torch.device("cpu"))
    handles = [m.register_forward_hook(note) for m in network.modules() if not list(m.children())]
    try:
        with torch.inference_mode():
            network(torch.zeros((1, channels, *shape), device=device))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return DEFAULT_BYTES_PER_VOX
    finally:
        for handle in handles:
            handle.remove()
    return max(1.0, largest * 4.0 * LIVE_LAYERS / math.prod(shape))


def is_out_of_memory(error: BaseException) -> bool:
    """True if `error` tells that an allocation failed; an interrupt or a bug never does."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    # torch's own class is a RuntimeError too, and its name changed between versions.
    text = str(error).lower()
    return any(sign in text for sign in _SIGNS)


def fitting_plan(first: Plan, demand: Demand, free_bytes: float) -> tuple[Plan, list[str]]:
    """The first plan of the ladder on the same device that fits into `free_bytes`, and the steps.

    If none fits, the last one on that device: the estimate may be wrong, trying tells.
    """
    plan = first
    steps: list[str] = []
    while demand.peak_bytes(plan) > USABLE_SHARE * free_bytes:
        smaller = next_plan(plan, demand)
        if smaller is None or smaller.device != plan.device:
            break
        steps.append(f"planned {describe_step(plan, smaller)}")
        plan = smaller
    return plan, steps


def next_plan(plan: Plan, demand: Demand) -> Plan | None:
    """The next smaller way: windows, smaller windows, sums in main memory, one view, processor."""
    window = smaller_window(plan.window, demand) if demand.can_window else None
    if window is not None:
        return replace(plan, window=window)
    if plan.accumulate_on != "cpu":
        return replace(plan, accumulate_on="cpu")
    if len(plan.views) > 1:
        return replace(plan, views=(IDENTITY,))
    if plan.device != "cpu":
        return replace(plan, device="cpu")
    return None


def smaller_window(window: Shape | None, demand: Demand) -> Shape | None:
    """A smaller window: first at most 128 voxels long, then its longest axis halved; None at 32."""
    if window is None:
        k, j, i = (
            min(n, _rounded(FIRST_WINDOW_VOX, step))
            for n, step in zip(demand.shape, demand.multiple_of, strict=True)
        )
        if (k, j, i) != demand.shape:
            return k, j, i
        window = demand.shape
    lengths = [min(a, b) for a, b in zip(window, demand.shape, strict=True)]
    for axis in sorted(range(3), key=lambda n: -lengths[n]):
        step = demand.multiple_of[axis]
        half = max(_rounded(lengths[axis] // 2, step), 2 * step, SMALLEST_WINDOW_VOX)
        if half < lengths[axis]:
            lengths[axis] = half
            return lengths[0], lengths[1], lengths[2]
    return None


def describe_step(before: Plan, after: Plan) -> str:
    """What changed between two plans, in words."""
    if after.device != before.device:
        return f"{after.device} instead of {before.device}"
    if after.window != before.window and after.window is not None:
        return "windows of " + "x".join(str(n) for n in after.window) + " voxels"
    if after.accumulate_on != before.accumulate_on:
        return "sums in main memory"
    return f"{len(after.views)} instead of {len(before.views)} views"


def run_with_ladder(
    run: Callable[[Plan], ResultT], first: Plan, demand: Demand, reporter: Reporter
) -> tuple[ResultT, Plan, list[str]]:
    """Result of the first plan that does not run out of memory, that plan, and the steps to it.

    Raises:
        OutOfMemoryError: the smallest plan ran out of memory too.
    """
    plan = first
    steps: list[str] = []
    while True:
        try:
            return run(plan), plan, steps
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = reason_of(error)
        # Outside of the handler: the traceback held the tensors that filled the memory.
        release_memory()
        smaller = next_plan(plan, demand)
        if smaller is None:
            raise out_of_memory(reason)
        step = f"out of memory on {plan.device}: {describe_step(plan, smaller)}"
        reporter.message(
            f"Memory was not enough ({reason}). Going on with: {step}.", level="warning"
        )
        steps.append(step)
        plan = smaller


def out_of_memory(reason: str) -> OutOfMemoryError:
    """The error that ends a job for which nothing smaller is left."""
    return OutOfMemoryError(
        f"Not enough memory, even in the smallest way: {reason}.",
        code="memory.exhausted",
        hint="Close other programs, crop the image to the abdomen, or use the mode 'fast'.",
    )


def release_memory() -> None:
    """Give freed memory back to the system and the graphics card."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _rounded(length: int, step: int) -> int:
    return max(step, math.ceil(length / step) * step)
