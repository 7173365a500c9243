"""Labels at the voxels of a grid that is turned against the network's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from FlareMRCore.data.geometry import Box, FloatArray, Geometry, Shape
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.inference.winners import winning_classes
from FlareMRCore.progress import Reporter

SLAB_VOX = 1_000_000
_MIXED = 255


def sample_labels(
    logits: Tensor, grid: Geometry, target: Geometry, reporter: Reporter
) -> NDArray[np.uint8]:
    """Labels (K, J, I) on `target`; 0 outside of the outer edges of `grid`.

    Each voxel gets the label of the largest trilinearly interpolated logit at its center. Where
    all eight neighbors on `grid` have one label, that is the answer without interpolating.

    Args:
        logits: (classes, k, j, i) float32 on `grid`.
        grid: where the logits are.
        target: where the labels are wanted.
        reporter: asked between slabs whether to go on.
    """
    labels = np.zeros(target.shape, dtype=np.uint8)
    logits = logits.cpu()
    coarse = winning_classes(logits).numpy()
    box = _box_in_target(coarse, grid, target)
    if box is None:
        return labels
    cells = _uniform_cells(coarse)
    for n, part in enumerate(_slabs(box)):
        reporter.advance("upsample", part.start[0] - box.start[0], box.shape[0])
        points = _points(part, grid, target)
        labels[part.slices] = _labels_at(points, logits, cells)
        del points, n
    return labels


def sample_values(
    values: Tensor, grid: Geometry, target: Geometry, *, fill: float, reporter: Reporter
) -> NDArray[np.float32]:
    """`values` (k, j, i) on `grid`, interpolated at the voxels of `target`; `fill` outside."""
    result = np.full(target.shape, fill, dtype=np.float32)
    whole = Box((0, 0, 0), target.shape)
    for part in _slabs(whole):
        reporter.advance("upsample", part.start[0], target.shape[0])
        points = _points(part, grid, target)
        chosen = points.index[points.inside]
        result[part.slices][points.inside] = _interpolated(values.cpu()[None], chosen)[0]
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Voxel centers of a part of the target.

    `index` (..., 3): position on the logits' grid in (k, j, i), clamped to it.
    `inside` (...): True within the outer edges of that grid.
    """

    index: NDArray[np.float32]
    inside: NDArray[np.bool_]
    shape: Shape


def _points(part: Box, grid: Geometry, target: Geometry) -> _Points:
    matrix: FloatArray = grid.inverse_affine @ target.affine
    axes = [np.arange(a, b) for a, b in zip(part.start, part.stop, strict=True)]
    index = np.empty((*part.shape, 3), dtype=np.float32)
    inside = np.ones(part.shape, dtype=np.bool_)
    for axis, length in enumerate(grid.shape):
        row = matrix[axis]
        position = (
            (row[0] * axes[0])[:, None, None]
            + (row[1] * axes[1])[None, :, None]
            + (row[2] * axes[2] + row[3])[None, None, :]
        )
        inside &= (position >= -0.5) & (position <= length - 0.5)
        index[..., axis] = np.clip(position, 0, length - 1)
    return _Points(index, inside, grid.shape)


def _labels_at(points: _Points, logits: Tensor, cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    corner = points.index.astype(np.intp)
    labels = cells[corner[..., 0], corner[..., 1], corner[..., 2]]
    labels[~points.inside] = 0
    mixed = labels == _MIXED
    if mixed.any():
        winners = _interpolated(logits, points.index[mixed]).argmax(axis=0)
        labels[mixed] = winners.astype(np.uint8)
    return labels


def _interpolated(values: Tensor, index: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (C, N) of `values` (C, k, j, i) at points `index` (N, 3)."""
    lengths = np.asarray(values.shape[1:], dtype=np.float32)
    # torch wants (i, j, k) from -1 to 1, outer edge to outer edge.
    normalized = ((2 * index + 1) / lengths - 1)[:, ::-1].copy()
    grid = torch.from_numpy(normalized)[None, None, None]
    sampled = functional.grid_sample(
        values[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    result: NDArray[np.float32] = sampled[0, :, 0, 0].numpy()
    return result


def _uniform_cells(coarse: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label shared by the voxel and its upper neighbors along all axes; `_MIXED` if they differ."""
    low = high = np.pad(coarse, ((0, 1), (0, 1), (0, 1)), mode="edge")
    for axis in range(3):
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        low = np.minimum(low[tuple(first)], low[tuple(second)])
        high = np.maximum(high[tuple(first)], high[tuple(second)])
    return np.where(low == high, low, np.uint8(_MIXED))


def _box_in_target(coarse: NDArray[np.uint8], grid: Geometry, target: Geometry) -> Box | None:
    """Part of `target` that can see foreground; None if there is none."""
    found = foreground_box(coarse)
    if found is None:
        return None
    corners = grid.cropped(found.padded((1, 1, 1), within=grid.shape)).corners()
    index = target.world_to_index(corners)
    low = np.clip(np.floor(index.min(axis=0)), 0, target.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, target.shape).astype(int)
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    return box if min(box.shape) else None


def _slabs(box: Box) -> list[Box]:
    step = max(1, SLAB_VOX // max(1, box.shape[1] * box.shape[2]))
    starts = range(box.start[0], box.stop[0], step)
    return [Box((k, *box.start[1:]), (min(k + step, box.stop[0]), *box.stop[1:])) for k in starts]
