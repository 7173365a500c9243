"""Directions that are not orthonormal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import polar

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.repair import orthonormalized, skewness, usable_geometry
from FlareMRCore.errors import GeometryError

SHAPE = (6, 5, 4)


def skewed(amount: float) -> np.ndarray:
    affine = np.diag([4.0, 2.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
    affine[0, 1] = 2.0 * amount
    return affine


def test_a_rectangular_grid_is_left_alone(oblique_geometry):
    geometry, notes = usable_geometry(oblique_geometry.affine, oblique_geometry.shape)
    assert notes == ()
    np.testing.assert_array_equal(geometry.affine, Geometry.from_affine(
        oblique_geometry.affine, oblique_geometry.shape).affine)  # fmt: skip
    assert skewness(oblique_geometry) < 1e-12


def test_rounding_of_the_header_is_no_news():
    affine = skewed(0.0) + 1e-5
    affine[3] = (0, 0, 0, 1)
    geometry, notes = usable_geometry(affine, SHAPE)
    assert notes == ()
    np.testing.assert_allclose(geometry.affine, affine, atol=1e-12)


def test_the_repair_is_the_polar_factor_about_the_center():
    original = Geometry.from_affine(skewed(0.02), SHAPE)
    repaired = orthonormalized(original)
    expected, _ = polar(np.asarray(original.direction))
    np.testing.assert_allclose(repaired.direction, expected, atol=1e-12)
    np.testing.assert_allclose(repaired.spacing_mm, original.spacing_mm)
    center = (np.asarray(SHAPE) - 1) / 2
    np.testing.assert_allclose(
        repaired.index_to_world(center), original.index_to_world(center), atol=1e-12
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_repair_keeps_mirrored_grids_mirrored(sign):
    affine = skewed(0.02)
    affine[:, 0] *= sign
    geometry, notes = usable_geometry(affine, SHAPE)
    assert "right angle" in notes[0]
    assert np.sign(np.linalg.det(geometry.affine)) == np.sign(np.linalg.det(affine))


def test_shear_is_kept():
    geometry, notes = usable_geometry(skewed(0.3), SHAPE)
    assert "sheared by 16.7 degrees" in notes[0]
    np.testing.assert_allclose(geometry.affine, skewed(0.3), atol=1e-12)


def test_axes_in_one_plane_are_refused():
    affine = skewed(0.0)
    affine[:3, 0] = affine[:3, 1]
    with pytest.raises(GeometryError):
        usable_geometry(affine, SHAPE)
