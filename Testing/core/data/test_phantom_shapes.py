"""Implicit shapes against volumes and distances known from geometry."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.phantom_shapes import (
    Blob,
    Canvas,
    Frame,
    Tube,
    linear_field,
    smooth_union,
    wave_field,
)

GRID = Geometry((60, 60, 60), (1.0, 1.0, 1.0), (-29.5, -29.5, -29.5))
STILL = Frame(np.eye(3), np.zeros((3, 1, 3)), np.zeros((3, 1)), np.zeros((3, 1)))


def painted(canvas: Canvas, shape: Blob | Tube) -> int:
    region, field = canvas.blob(shape) if isinstance(shape, Blob) else canvas.tube(shape)
    canvas.paint(region, field < 0, 1)
    return int((canvas.tissues == 1).sum())


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (20.0, -35.0, 50.0)])
def test_ellipsoid_has_its_volume_however_turned(turn: tuple[float, float, float]) -> None:
    count = painted(Canvas(GRID, STILL), Blob((1.0, -2.0, 3.0), (20.0, 12.0, 8.0), turn))
    assert count == pytest.approx(4 / 3 * np.pi * 20 * 12 * 8, rel=0.01)


def test_straight_tube_is_a_capsule() -> None:
    count = painted(Canvas(GRID, STILL), Tube(((-15, 0, 0), (15, 0, 0)), (6.0, 6.0)))
    assert count == pytest.approx(np.pi * 36 * 30 + 4 / 3 * np.pi * 216, rel=0.02)


def test_tube_passes_through_its_points() -> None:
    tube = Tube(((0, 0, 0), (10, 10, 0), (25, 5, 10)), (3.0, 5.0, 4.0))
    points, radii = tube.sampled()
    np.testing.assert_allclose(points[[0, -1]], [(0, 0, 0), (25, 5, 10)], atol=1e-9)
    assert radii[0] == 3.0
    assert radii[-1] == 4.0
    assert np.linalg.norm(points - (10, 10, 0), axis=1).min() < 4


def test_frame_moves_shapes_and_their_regions() -> None:
    rng = np.random.default_rng(0)
    frame = Frame(
        np.diag([1.1, 0.9, 1.0]),
        rng.normal(0, 0.02, (3, 2, 3)),
        rng.uniform(0, 6, (3, 2)),
        np.full((3, 2), 1.5),
    )
    canvas = Canvas(GRID, frame)
    blob = Blob((5.0, 0.0, -4.0), (9.0, 9.0, 9.0))
    region, field = canvas.blob(blob)
    distance = np.linalg.norm(canvas.points - np.array(blob.center)[:, None, None, None], axis=0)
    whole = distance < 9.0
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[region] = field < 0
    assert whole.any()
    np.testing.assert_array_equal(inside, whole)


def test_fields_follow_world_coordinates() -> None:
    grid = Geometry((3, 4, 5), (2.0, 1.5, 1.0), (4.0, -7.0, 9.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    world = grid.index_to_world(index.astype(float))
    weights = np.array([0.3, -0.2, 0.05])
    np.testing.assert_allclose(linear_field(grid, weights, 1.0), world @ weights + 1, atol=1e-5)
    np.testing.assert_allclose(
        wave_field(grid, weights, 0.4), np.sin(world @ weights + 0.4), atol=1e-5
    )


def test_smooth_union_is_a_union_away_from_the_seam() -> None:
    first, second = np.float32([-5.0, 3.0, 0.0]), np.float32([8.0, 20.0, 0.0])
    union = smooth_union(first, second, 4.0)
    np.testing.assert_allclose(union[:2], [-5.0, 3.0])
    assert union[2] == pytest.approx(-1.0)
