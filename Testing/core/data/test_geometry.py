"""Geometry: where voxels are."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest

from FlareMRCore.data.geometry import Box, Geometry, nearest_axes
from FlareMRCore.errors import GeometryError


def test_the_affine_composes_what_the_fields_say(oblique_geometry):
    again = Geometry.from_affine(oblique_geometry.affine, oblique_geometry.shape)
    np.testing.assert_allclose(again.affine, oblique_geometry.affine, rtol=1e-15)
    np.testing.assert_allclose(again.spacing_mm, (7.7, 1.5, 1.2))
    product = oblique_geometry.affine @ oblique_geometry.inverse_affine
    np.testing.assert_allclose(product, np.eye(4), atol=1e-12)
    assert oblique_geometry.voxel_volume_mm3 == pytest.approx(7.7 * 1.5 * 1.2)
    np.testing.assert_allclose(oblique_geometry.extent_mm, (38.5, 10.5, 10.8))


def test_world_and_index_are_inverse(oblique_geometry):
    index = np.array([[0, 0, 0], [4, 6, 8], [-1.5, 2.25, 100.0]])
    world = oblique_geometry.index_to_world(index)
    np.testing.assert_allclose(world[0], oblique_geometry.origin)
    np.testing.assert_allclose(oblique_geometry.world_to_index(world), index, atol=1e-9)


@pytest.mark.parametrize(
    "signs_and_order",
    list(itertools.product(itertools.product((1, -1), repeat=3), itertools.permutations(range(3)))),
)
def test_axis_codes_agree_with_nibabel(signs_and_order):
    signs, order = signs_and_order
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs
    codes = "".join(nib.aff2axcodes(affine))
    assert Geometry.from_affine(affine, (2, 3, 4)).axis_codes == codes


def test_no_two_axes_share_a_direction_at_45_degrees():
    half = np.sqrt(0.5)
    order, _ = nearest_axes(((half, half, 0.0), (-half, half, 0.0), (0.0, 0.0, 1.0)))
    assert sorted(order) == [0, 1, 2]


def test_crops_keep_voxels_in_place(oblique_geometry):
    box = Box((1, 2, 3), (4, 6, 8))
    cropped = oblique_geometry.cropped(box)
    assert cropped.shape == (3, 4, 5)
    np.testing.assert_allclose(
        cropped.index_to_world(np.array([1, 1, 1])),
        oblique_geometry.index_to_world(np.array([2, 3, 4])),
    )
    padded = oblique_geometry.cropped(Box((-1, 0, 0), (6, 7, 9)))
    np.testing.assert_allclose(
        padded.index_to_world(np.array([1, 0, 0])), oblique_geometry.origin, atol=1e-12
    )


def test_boxes_grow_to_the_edge_of_the_array():
    assert Box((2, 2, 2), (3, 3, 3)).padded((1, 5, 0), within=(4, 4, 4)) == Box(
        (1, 0, 2), (4, 4, 3)
    )
    assert Box((2, 2, 2), (1, 3, 3)).shape == (0, 1, 1)


def test_resizing_keeps_the_corners(oblique_geometry):
    resized = oblique_geometry.resized((10, 3, 4))
    np.testing.assert_allclose(resized.corners(), oblique_geometry.corners(), atol=1e-9)
    assert oblique_geometry.resized(oblique_geometry.shape).coincides(oblique_geometry)
    assert not oblique_geometry.coincides(resized)


def test_grids_that_differ_by_more_than_the_tolerance_do_not_coincide():
    first = Geometry((2, 2, 2), (1.0, 1.0, 1.0))
    assert first.coincides(Geometry((2, 2, 2), (1.0, 1.0, 1.0), (0.0005, 0.0, 0.0)))
    assert not first.coincides(Geometry((2, 2, 2), (1.0, 1.0, 1.0), (0.002, 0.0, 0.0)))


def test_obliquity_is_the_angle_to_the_nearest_axis():
    angle = np.radians(20.0)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert Geometry.from_affine(affine, (2, 2, 2)).obliquity_deg == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"shape": (0, 1, 1)}, "geometry.empty"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "geometry.spacing"),
        ({"spacing_mm": (1.0, float("nan"), 1.0)}, "geometry.spacing"),
        ({"origin": (float("inf"), 0.0, 0.0)}, "geometry.spacing"),
        ({"direction": ((1.0, 0, 0), (1.0, 0, 0), (0, 0, 1.0))}, "geometry.direction"),
    ],
)
def test_degenerate_grids_are_refused(fields, code):
    with pytest.raises(GeometryError) as caught:
        Geometry(**{"shape": (1, 1, 1), "spacing_mm": (1.0, 1.0, 1.0)} | fields)
    assert caught.value.code == code
