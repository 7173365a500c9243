"""Labels at full resolution from logits at the network's, without ever holding all logits.

Logits are interpolated trilinearly and the largest one wins, the first
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

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.inference.network_grid import axis_mapping
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


Samples = tuple[AxisSamples, AxisSamples, AxisSamples]


def axis_samples(grid: Geometry, target: Geometry) -> Samples:
    """Samples of all voxels of `target` on a parallel `grid`, whose border values are repeated."""
    k, j, i = (_along_one_axis(grid, target, axis) for axis in range(3))
    return k, j, i


def samples_touching(samples: AxisSamples, first: int, stop: int) -> AxisSamples:
    """The samples one of whose neighbors is in the coarse range `first` to `stop`."""
    inside = np.flatnonzero((samples.high >= first) & (samples.low < stop))
    begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    return AxisSamples(
        samples.start + begin,
        samples.low[begin:end],
        samples.high[begin:end],
        samples.weight[begin:end],
    )


def upsample_labels(
    logits: Tensor, grid: Geometry, target: Geometry, reporter: Reporter
) -> NDArray[np.uint8]:
    """Labels (K, J, I) on `target`.

    The same labels as interpolating all logits and taking the argmax.

    Args:
        logits: (classes, k, j, i) float32 on `grid`, class 0 is background.
        grid: where the logits are.
        target: parallel to `grid`.
        reporter: asked between slabs whether to go on.
    """
    labels = np.zeros(target.shape, dtype=np.uint8)
    box = foreground_box(winning_classes(logits).cpu().numpy())
    if box is None:
        return labels
    rivals = _rival_boxes(logits)
    slabs = list(_slabs(_touching(axis_samples(grid, target), box)))
    for n, samples in enumerate(slabs):
        reporter.advance("upsample", n, len(slabs))
        labels[_place(samples).slices] = _slab_labels(logits, samples, rivals).numpy()
    return labels


def upsample_values(
    values: Tensor, grid: Geometry, target: Geometry, reporter: Reporter
) -> NDArray[np.float32]:
    """`values` (k, j, i) on `grid`, interpolated to a parallel `target`, float32."""
    result = np.empty(target.shape, dtype=np.float32)
    slabs = list(_slabs(axis_samples(grid, target)))
    for n, samples in enumerate(slabs):
        reporter.advance("upsample", n, len(slabs))
        result[_place(samples).slices] = _interpolated(values, samples).cpu().numpy()
    return result


def _rival_boxes(logits: Tensor) -> dict[int, Box]:
    """By class the coarse voxels where it is not below background; classes without are left out.

    Where it is below at all eight neighbors it stays below in between, and so cannot win there.
    """
    found = {
        channel: foreground_box((logits[channel] >= logits[0]).cpu().numpy())
        for channel in range(1, logits.shape[0])
    }
    return {channel: box for channel, box in found.items() if box is not None}


def _slab_labels(logits: Tensor, samples: Samples, rivals: dict[int, Box]) -> Tensor:
    best = _interpolated(logits[0], samples)
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for channel, box in rivals.items():
        near = _touching(samples, box)
        if not min(_place(near).shape):
            continue
        k, j, i = (
            slice(part.start - axis.start, part.stop - axis.start)
            for part, axis in zip(near, samples, strict=True)
        )
        current = _interpolated(logits[channel], near)
        labels[k, j, i].masked_fill_(current > best[k, j, i], channel)
        best[k, j, i] = torch.maximum(best[k, j, i], current)
    return labels.cpu()


def _interpolated(values: Tensor, samples: Samples) -> Tensor:
    """`values` (k, j, i) at the fine voxels of `samples`."""
    k, j, i = samples
    rows = slice(int(j.low.min()), int(j.high.max()) + 1)
    columns = slice(int(i.low.min()), int(i.high.max()) + 1)
    part = values[:, rows, columns]
    low, high, weight = (torch.from_numpy(a).to(values.device) for a in (k.low, k.high, k.weight))
    mixed = torch.lerp(part[low], part[high], weight[:, None, None])
    left = j.matrix(rows.start, rows.stop).to(values.device)
    right = i.matrix(columns.start, columns.stop).to(values.device)
    return torch.matmul(torch.matmul(left, mixed), right.T)


def _along_one_axis(grid: Geometry, target: Geometry, axis: int) -> AxisSamples:
    first, step = axis_mapping(target, grid, axis)
    last = grid.shape[axis] - 1
    position = np.clip(first + step * np.arange(target.shape[axis]), 0, last)
    low = np.floor(position).astype(np.intp)
    weight = (position - low).astype(np.float32)
    return AxisSamples(0, low, np.minimum(low + 1, last), weight)


def _touching(samples: Samples, box: Box) -> Samples:
    """The samples that have a neighbor in the coarse voxels `box`, along each axis."""
    k, j, i = (
        samples_touching(axis, first, stop)
        for axis, first, stop in zip(samples, box.start, box.stop, strict=True)
    )
    return k, j, i


def _place(samples: Samples) -> Box:
    k, j, i = samples
    return Box((k.start, j.start, i.start), (k.stop, j.stop, i.stop))


def _slabs(samples: Samples) -> Iterator[Samples]:
    """Pieces along K that stay in the processor's cache."""
    k, j, i = samples
    step = max(1, SLAB_BYTES // max(1, 4 * len(j.low) * len(i.low)))
    for begin in range(0, len(k.low), step):
        part = slice(begin, begin + step)
        yield AxisSamples(k.start + begin, k.low[part], k.high[part], k.weight[part]), j, i
