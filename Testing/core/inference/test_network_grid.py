"""Grids of networks: where they start, and what the image looks like on them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import WeightsError
from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.inference.network_grid import network_grid, network_input

IMAGE = Geometry((20, 30, 40), (5.0, 1.5, 1.2), (-13.0, 7.0, 101.0))
WHOLE = Box((0, 0, 0), IMAGE.shape)


@pytest.fixture
def image() -> Volume:
    array = np.random.default_rng(0).random(IMAGE.shape, dtype=np.float32)
    return Volume(array, IMAGE)


def test_grid_covers_the_box_with_spacing_and_multiple(make_spec: Any) -> None:
    spec = make_spec(spacing_mm=(6.0, 3.0, 2.0), multiple_of=(8, 4, 16))
    box = Box((2, 0, 5), (17, 30, 29))
    grid = network_grid(spec, IMAGE, box)
    assert grid.spacing_mm == (6.0, 3.0, 2.0)
    assert all(n % m == 0 for n, m in zip(grid.shape, (8, 4, 16), strict=True))
    low, high = grid.corners().min(0), grid.corners().max(0)
    inner = IMAGE.cropped(box).corners()
    assert (low <= inner.min(0) + 1e-6).all()
    assert (high >= inner.max(0) - 1e-6).all()
    # Not more than a block on each side, and what the multiple asks for.
    assert (high - low <= inner.max(0) - inner.min(0) + 2 * np.array([32.0, 12.0, 48.0])).all()


def test_grids_of_copies_fit_together(make_spec: Any) -> None:
    spec = make_spec(spacing_mm=(3.0, 3.0, 3.0), multiple_of=(8, 8, 8))
    first = network_grid(spec, IMAGE, WHOLE)
    for start in ((1, 4, 7), (3, 0, 11), (0, 13, 2)):
        second = network_grid(spec, IMAGE, Box(start, IMAGE.shape))
        gap = (np.array(first.origin) - np.array(second.origin)) / 3.0
        np.testing.assert_allclose(gap, np.round(gap / 2) * 2, atol=1e-6)


def test_grid_does_not_depend_on_the_last_digit(make_spec: Any) -> None:
    spec = make_spec(spacing_mm=(3.0, 3.0, 3.0), multiple_of=(8, 8, 8))
    even = Geometry((24, 24, 24), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5))
    box = Box((0, 0, 0), even.shape)
    for shift in (-1e-9, 0.0, 1e-9):
        moved = replace(even, origin=(0.5 + shift, 0.5 + shift, 0.5 + shift))
        grid = network_grid(spec, moved, box)
        assert grid.shape == (8, 8, 8) or grid.shape == (8, 8, 16)
        np.testing.assert_allclose(grid.origin[1:], (1.5, 1.5), atol=1e-6)


def test_one_coarsest_voxel_is_doubled(make_spec: Any) -> None:
    tiny = Geometry((2, 2, 2), (3.0, 3.0, 3.0), (1.5, 1.5, 1.5))
    spec = make_spec(spacing_mm=(3.0, 3.0, 3.0), multiple_of=(8, 8, 8))
    assert network_grid(spec, tiny, Box((0, 0, 0), (2, 2, 2))).shape == (8, 8, 16)


def test_networks_of_one_shape_get_it_edge_to_edge(make_spec: Any) -> None:
    grid = network_grid(make_spec(fixed_shape=(8, 9, 10), spacing_mm=None), IMAGE, WHOLE)
    assert grid.shape == (8, 9, 10)
    np.testing.assert_allclose(grid.corners(), IMAGE.corners())


def test_a_spacing_or_a_shape_is_needed(make_spec: Any) -> None:
    with pytest.raises(WeightsError) as caught:
        network_grid(make_spec(spacing_mm=None), IMAGE, WHOLE)
    assert caught.value.code == "weights.spec"


@pytest.mark.parametrize("shape", [(20, 30, 40), (31, 47, 55), (15, 22, 40)])
def test_input_equals_torch_edge_to_edge(image: Volume, shape: tuple[int, int, int]) -> None:
    statistics = foreground_statistics(image.array)
    x = network_input(image, IMAGE.resized(shape), statistics)
    expected = functional.interpolate(
        torch.from_numpy(image.array.copy())[None, None],
        size=shape,
        mode="trilinear",
        align_corners=False,
    )
    assert x.shape == (1, 1, *shape)
    wanted = standardize(expected[0, 0].numpy(), statistics)
    np.testing.assert_allclose(x[0, 0].numpy(), wanted, atol=1e-4)


def test_axes_that_shrink_a_lot_are_averaged(image: Volume) -> None:
    statistics = foreground_statistics(image.array)
    x = network_input(image, IMAGE.resized((4, 6, 8)), statistics)
    means = image.array.reshape(4, 5, 6, 5, 8, 5).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(x[0, 0].numpy(), standardize(means, statistics), atol=1e-4)


@pytest.mark.parametrize("factor", [1, 5])
def test_outside_of_the_image_its_border_is_repeated(image: Volume, factor: int) -> None:
    shape = (20, 30, 40)
    grown = IMAGE.cropped(Box((-10, -10, -10), (40, 50, 60)))
    k, j, i = (n // factor for n in grown.shape)
    statistics = foreground_statistics(image.array)
    x = network_input(image, grown.resized((k, j, i)), statistics)[0, 0]
    a = 10 // factor
    inner = x[a : a + shape[0] // factor, a : a + shape[1] // factor, a : a + shape[2] // factor]
    expected = network_input(image, IMAGE.resized(tuple(n // factor for n in shape)), statistics)
    torch.testing.assert_close(inner, expected[0, 0], atol=1e-4, rtol=0)
    # Beyond the first voxel outside, whose cell still touches the image where it is averaged.
    assert torch.equal(x[0], x[a - 1])
    assert torch.equal(x[..., -1], x[..., -a])
    if factor == 1:
        assert torch.equal(x[0], x[a])
        assert torch.equal(x[..., -1], x[..., -a - 1])


def test_input_is_a_copy(image: Volume) -> None:
    before = image.array.copy()
    x = network_input(image, IMAGE, foreground_statistics(image.array))
    x += 1
    np.testing.assert_array_equal(image.array, before)
