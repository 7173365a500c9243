"""Prediction in overlapping windows, blended by a Gaussian."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from FlareMRCore.data.geometry import Box, Shape, Triple

OVERLAP_STEP = 0.5
"""Distance of windows as a share of their length. Source: nnU-Net v2."""
SIGMA = 0.125
"""Spread of the Gaussian as a share of the window's length. Source: nnU-Net v2."""
MANY_WINDOWS = 20
"""Above this number windows overlap along one axis only. Source: He et al., FLARE 2024 task 3."""
Overlap = Literal["adaptive", "adaptive-i", "half"]
"""Half overlap along every axis, or, of more than `MANY_WINDOWS`, along K only or I only."""
_KEPT_AXIS = {"adaptive": 0, "adaptive-i": 2}


def window_starts(length: int, window: int, step: float) -> list[int]:
    """First voxels of evenly spaced windows that cover an axis.

    The distance is at most `step` times `window`, and the last window ends with the axis.
    Source: nnU-Net v2, compute_steps_for_sliding_window.

    >>> window_starts(10, 4, 0.5)
    [0, 2, 4, 6]
    """
    if window >= length:
        return [0]
    count = math.ceil((length - window) / max(1.0, window * step)) + 1
    return [round(n * (length - window) / (count - 1)) for n in range(count)]


def window_boxes(shape: Shape, window: Shape, overlap: Overlap = "adaptive") -> list[Box]:
    """Windows that cover an input of `shape`; windows longer than the input are cut to it.

    Half overlap along every axis; if that makes more than `MANY_WINDOWS`, along one axis only:
    K with ``"adaptive"``, I with ``"adaptive-i"``; ``"half"`` keeps all.

    Source: He et al., FLARE 2024 task 3. The paper's step (1, 1, 0.5) is read as (x, y, z), half
        overlap along z; the published code has the order (z, y, x).
    """
    k, j, i = (min(n, w) for n, w in zip(shape, window, strict=True))
    boxes = _boxes(shape, (k, j, i), (OVERLAP_STEP, OVERLAP_STEP, OVERLAP_STEP))
    if len(boxes) > MANY_WINDOWS and overlap in _KEPT_AXIS:
        steps = [1.0, 1.0, 1.0]
        steps[_KEPT_AXIS[overlap]] = OVERLAP_STEP
        boxes = _boxes(shape, (k, j, i), (steps[0], steps[1], steps[2]))
    return boxes


def gaussian_importance_map(window: Shape) -> Tensor:
    """Weights (K, J, I) of a window's voxels: 1 at the center, never 0, symmetric, float32."""
    axes = []
    for length in window:
        offset = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
        axes.append(torch.exp(-0.5 * (offset / max(length * SIGMA, 1e-9)) ** 2))
    weights = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    weights = weights / weights.max()
    # Corners would underflow in half precision and divide by nearly nothing.
    return weights.clamp_min(1e-3).float()


def predict_windows(
    forward: Callable[[Tensor], Tensor], x: Tensor, boxes: Sequence[Box], *, accumulate_on: str
) -> Tensor:
    """Weighted mean of the logits of all windows, (1, classes, K, J, I) float32.

    Args:
        forward: maps a window (1, C, k, j, i) to float32 logits (1, classes, k, j, i).
        x: input (1, C, K, J, I).
        boxes: windows of one shape that cover the input.
        accumulate_on: device of the sums, and of the result.
    """
    weights = gaussian_importance_map(boxes[0].shape).to(accumulate_on)
    shape = x.shape[2:]
    total = torch.zeros(shape, device=accumulate_on)
    logits: Tensor | None = None
    for box in boxes:
        patch = forward(x[(..., *box.slices)].contiguous()).to(accumulate_on)
        if logits is None:
            logits = torch.zeros((1, patch.shape[1], *shape), device=accumulate_on)
        logits[(..., *box.slices)] += patch * weights
        total[box.slices] += weights
    if logits is None:
        raise ValueError("At least one window is needed.")
    return logits.div_(total)


def _boxes(shape: Shape, window: Shape, steps: Triple) -> list[Box]:
    starts = (window_starts(n, w, s) for n, w, s in zip(shape, window, steps, strict=True))
    return [
        Box((k, j, i), (k + window[0], j + window[1], i + window[2]))
        for k, j, i in itertools.product(*starts)
    ]
