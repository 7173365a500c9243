"""Labels on turned grids, against interpolating every logit at every voxel with scipy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.inference import point_sampling
from FlareMRCore.inference.point_sampling import sample_labels, sample_values
from FlareMRCore.inference.upsampling import upsample_labels
from FlareMRCore.progress import SilentReporter

GRID = Geometry((8, 9, 10), (4.0, 3.0, 3.5), (-15.0, -12.0, -14.0))


def rotation(angle: float, first: int, second: int) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def turned(degrees: float) -> Geometry:
    angle = np.radians(degrees)
    turn = rotation(angle, 0, 1) @ rotation(angle / 2, 1, 2)
    affine = np.eye(4)
    affine[:3, :3] = turn[:, ::-1] * (2.0, 1.5, 1.6)
    affine[:3, 3] = -affine[:3, :3] @ (10.0, 13.0, 14.0)
    return Geometry.from_affine(affine, (21, 27, 29))


def oracle(logits: torch.Tensor, target: Geometry) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in target.shape], indexing="ij"), -1)
    position = GRID.world_to_index(target.index_to_world(index))
    inside = ((position >= -0.5) & (position <= np.array(GRID.shape) - 0.5)).all(-1)
    points = np.moveaxis(position, -1, 0)
    values = [
        ndimage.map_coordinates(channel.astype(np.float64), points, order=1, mode="nearest")
        for channel in logits.numpy()
    ]
    return np.stack(values), inside


@pytest.mark.parametrize("degrees", [0.0, 3.0, 30.0, 90.0])
@pytest.mark.parametrize("background", [0.0, 2.0])
def test_labels_equal_the_oracle(
    degrees: float, background: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_sampling, "SLAB_VOX", 2000)
    logits = torch.randn(5, *GRID.shape, generator=torch.Generator().manual_seed(0))
    logits[0] += background
    target = turned(degrees)
    values, inside = oracle(logits, target)
    top = np.sort(values, axis=0)
    certain = (top[-1] - top[-2] > 1e-3) | ~inside
    expected = np.where(inside, values.argmax(0), 0)
    result = sample_labels(logits, GRID, target, SilentReporter())
    assert certain.mean() > 0.99
    np.testing.assert_array_equal(result[certain], expected[certain])


def test_straight_targets_agree_with_upsampling() -> None:
    logits = torch.randn(5, *GRID.shape, generator=torch.Generator().manual_seed(2))
    target = GRID.resized((17, 20, 31))
    sampled = sample_labels(logits, GRID, target, SilentReporter())
    assert (sampled == upsample_labels(logits, GRID, target, SilentReporter())).mean() > 0.999


def test_far_away_targets_are_empty() -> None:
    logits = torch.randn(5, *GRID.shape)
    target = replace(turned(10.0), origin=(900.0, 0.0, 0.0))
    assert not sample_labels(logits, GRID, target, SilentReporter()).any()


def test_values_equal_the_oracle_and_are_filled_outside() -> None:
    values = torch.rand(1, *GRID.shape, generator=torch.Generator().manual_seed(0))
    target = turned(20.0)
    expected, inside = oracle(values, target)
    result = sample_values(values[0], GRID, target, fill=7.0, reporter=SilentReporter())
    np.testing.assert_allclose(result[inside], expected[0][inside], atol=1e-4)
    assert (result[~inside] == 7.0).all()
    assert not inside.all()


def test_a_grid_of_one_slice_works() -> None:
    grid = Geometry((1, 9, 10), (4.0, 3.0, 3.5))
    logits = torch.randn(3, 1, 9, 10, generator=torch.Generator().manual_seed(0))
    labels = sample_labels(logits, grid, grid, SilentReporter())
    np.testing.assert_array_equal(labels, logits.argmax(0).numpy())
