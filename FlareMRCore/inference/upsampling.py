"""Labels at full resolution from logits at the network's, without ever holding all logits.

Logits are interpolated trilinearly (edges of the grids meet) and the largest one wins, the first
of equal ones. That is done one class at a time against a running maximum, slab by slab, and only
where it can differ from background: a voxel all of whose eight neighbors on the coarse grid are
background is background, because interpolation averages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from FlareMRCore.data.geometry import Box, Shape
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.inference.winners import winning_classes
from FlareMRCore.progress import Reporter

SLAB_BYTES = 4 * 1024**2
"""Slabs of this size stay in the processor's cache while all classes pass over them."""


@dataclass(frozen=True, slots=True, eq=False)
class AxisSamples:
    """Linear interpolation along one axis, for a range of the fine voxels.

    Attributes:
        start: first fine voxel of the range.
        low: lower coarse neighbor of each fine voxel.
        high: upper coarse neighbor.
        weight: weight of the upper neighbor, float32.
    """

    start: int
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """One past the last fine voxel."""
        return self.start + len(self.low)

    def matrix(self, first: int, stop: int) -> Tensor:
        """Weights (fine, coarse) of the coarse voxels `first` to `stop`."""
        weights = np.zeros((len(self.low), stop - first), dtype=np.float32)
        rows = np.arange(len(self.low))
        weights[rows, self.low - first] += 1 - self.weight
        weights[rows, self.high - first] += self.weight
        return torch.from_numpy(weights)


def axis_samples(coarse: int, fine: int) -> AxisSamples:
    """Samples of all `fine` voxels of an axis over `coarse` ones that cover the same space."""
    position = np.clip((np.arange(fine) + 0.5) * (coarse / fine) - 0.5, 0, coarse - 1)
    low = np.floor(position).astype(np.intp)
    weight = (position - low).astype(np.float32)
    return AxisSamples(0, low, np.minimum(low + 1, coarse - 1), weight)


def samples_touching(samples: AxisSamples, first: int, stop: int) -> AxisSamples:
    """The samples one of whose neighbors is in the coarse range `first` to `stop`."""
    inside = np.flatnonzero((samples.high >= first) & (samples.low < stop))
    begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    return AxisSamples(
        begin, samples.low[begin:end], samples.high[begin:end], samples.weight[begin:end]
    )


def upsample_labels(logits: Tensor, shape: Shape, reporter: Reporter) -> NDArray[np.uint8]:
    """Labels (K, J, I) on a grid of `shape` over the same space as `logits`.

    The same labels as interpolating all logits and taking the argmax.

    Args:
        logits: (classes, k, j, i) float32, class 0 is background.
        shape: voxels of the result.
        reporter: asked between slabs whether to go on.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    box = foreground_box(winning_classes(logits).cpu().numpy())
    if box is None:
        return labels
    axes = [
        samples_touching(axis_samples(n, m), first, stop)
        for n, m, first, stop in zip(logits.shape[1:], shape, box.start, box.stop, strict=True)
    ]
    slabs = list(_slabs(axes, classes_at_once=1))
    for n, (place, samples) in enumerate(slabs):
        reporter.advance("upsample", n, len(slabs))
        labels[place.slices] = _slab_labels(logits, samples).numpy()
    return labels


def upsample_values(values: Tensor, shape: Shape, reporter: Reporter) -> NDArray[np.float32]:
    """`values` (k, j, i), interpolated to a grid of `shape` over the same space, float32."""
    result = np.empty(shape, dtype=np.float32)
    axes = [axis_samples(n, m) for n, m in zip(values.shape, shape, strict=True)]
    slabs = list(_slabs(axes, classes_at_once=1))
    for n, (place, samples) in enumerate(slabs):
        reporter.advance("upsample", n, len(slabs))
        result[place.slices] = _Slab(values[None], samples).interpolated(0).cpu().numpy()
    return result


def _slabs(
    axes: list[AxisSamples], *, classes_at_once: int
) -> Iterator[tuple[Box, tuple[AxisSamples, AxisSamples, AxisSamples]]]:
    """Pieces along K, each with its place in the result."""
    k, j, i = axes
    plane_bytes = 4 * classes_at_once * len(j.low) * len(i.low)
    step = max(1, SLAB_BYTES // max(1, plane_bytes))
    for begin in range(0, len(k.low), step):
        part = slice(begin, begin + step)
        piece = AxisSamples(k.start + begin, k.low[part], k.high[part], k.weight[part])
        place = Box((piece.start, j.start, i.start), (piece.stop, j.stop, i.stop))
        yield place, (piece, j, i)


class _Slab:
    """Holds the interpolation weights of one slab open for all classes."""

    def __init__(
        self, values: Tensor, samples: tuple[AxisSamples, AxisSamples, AxisSamples]
    ) -> None:
        k, j, i = samples
        device = values.device
        first = tuple(int(axis.low.min()) for axis in samples)
        stop = tuple(int(axis.high.max()) + 1 for axis in samples)
        cut = tuple(slice(a, b) for a, b in zip(first, stop, strict=True))
        self.values = values[(slice(None), *cut)]
        self.low = torch.from_numpy(k.low - first[0]).to(device)
        self.high = torch.from_numpy(k.high - first[0]).to(device)
        self.weight = torch.from_numpy(k.weight)[:, None, None].to(device)
        self.rows = j.matrix(first[1], stop[1]).to(device)
        self.columns = i.matrix(first[2], stop[2]).T.contiguous().to(device)

    def interpolated(self, channel: int) -> Tensor:
        """One channel on the slab's fine voxels (K, J, I)."""
        plane = self.values[channel]
        mixed = torch.lerp(plane[self.low], plane[self.high], self.weight)
        return torch.matmul(torch.matmul(self.rows, mixed), self.columns)


def _slab_labels(logits: Tensor, samples: tuple[AxisSamples, AxisSamples, AxisSamples]) -> Tensor:
    slab = _Slab(logits, samples)
    best = slab.interpolated(0)
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for channel in range(1, logits.shape[0]):
        current = slab.interpolated(channel)
        labels.masked_fill_(current > best, channel)
        torch.maximum(best, current, out=best)
    return labels.cpu()
