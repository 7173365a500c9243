"""Padding cut off, axes turned, grids made for networks, and all of it undone."""

import math

import numpy as np
import pytest
import torch

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.inference.preparation import (
    content_box,
    pad_to_multiple,
    prepare,
    restore,
)


def test_constant_ends_are_cut_even_around_each_other() -> None:
    core = np.arange(24.0).reshape(2, 3, 4)
    zeros = np.pad(core, ((1, 2), (0, 3), (2, 0)))
    assert content_box(zeros) == Box((1, 0, 2), (3, 3, 6))
    twice = np.pad(zeros, ((2, 2), (1, 0), (0, 1)), constant_values=7)
    assert content_box(twice) == Box((3, 1, 2), (5, 4, 6))


def test_constant_slices_inside_stay() -> None:
    array = np.arange(60.0).reshape(5, 3, 4)
    array[2] = 5
    assert content_box(array) == Box((0, 0, 0), (5, 3, 4))


def test_constant_arrays_stay_whole() -> None:
    assert content_box(np.ones((2, 3, 4))) == Box((0, 0, 0), (2, 3, 4))


def test_restoring_undoes_padding_and_turning(oblique_volume: Volume) -> None:
    padded = Volume(
        np.pad(oblique_volume.array, ((2, 0), (1, 3), (0, 4)), constant_values=-1),
        oblique_volume.geometry.cropped(Box((-2, -1, 0), (5, 10, 13))),
    )
    frame = prepare(padded, finest_spacing_mm=1.0)
    assert frame.content.shape == (5, 7, 9)
    np.testing.assert_array_equal(restore(frame, frame.working.array, fill=-1), padded.array)


def test_straight_images_are_not_resampled_and_oblique_ones_are(
    oblique_volume: Volume, grid: Geometry
) -> None:
    straight = Volume(np.random.default_rng(0).random(grid.shape, dtype=np.float32), grid)
    assert not prepare(straight, finest_spacing_mm=1.0).is_oblique
    frame = prepare(oblique_volume, finest_spacing_mm=1.0)
    assert frame.is_oblique
    assert frame.aligned.geometry.obliquity_deg == 0
    assert min(frame.aligned.geometry.spacing_mm) >= 1.0
    low, high = oblique_volume.geometry.corners().min(0), oblique_volume.geometry.corners().max(0)
    corners = frame.aligned.geometry.corners()
    assert (corners.min(0) <= low + 1e-6).all()
    assert (corners.max(0) >= high - 1e-6).all()


@pytest.mark.parametrize("shape", [(5, 16, 17), (1, 1, 1), (16, 16, 32)])
def test_padding_is_even_minimal_and_undone(shape: tuple[int, int, int]) -> None:
    x = torch.arange(float(math.prod(shape))).reshape(1, 1, *shape) + 3
    padded, inner = pad_to_multiple(x, (8, 8, 16))
    assert all(n % m == 0 for n, m in zip(padded.shape[2:], (8, 8, 16), strict=True))
    assert torch.equal(padded[(..., *inner.slices)], x)
    assert float(padded.min()) == 3
    low = inner.start
    high = [n - s for n, s in zip(padded.shape[2:], inner.stop, strict=True)]
    assert all(0 <= b - a <= 1 for a, b in zip(low, high, strict=True))


def test_an_input_of_one_coarsest_voxel_is_doubled() -> None:
    padded, _ = pad_to_multiple(torch.zeros(1, 1, 3, 3, 3), (8, 8, 8))
    assert padded.shape[2:] == (8, 8, 16)
