"""Morphology in mm against scipy's in voxels, and what anisotropy asks for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.imaging.morphology import (
    closing,
    dilate,
    erode,
    largest_component,
    largest_component_by_slice,
    opening,
)

SPACING = (3.0, 1.2, 1.2)


@pytest.fixture
def mask() -> np.ndarray:
    rng = np.random.default_rng(5)
    inner = ndimage.gaussian_filter(rng.normal(size=(9, 14, 13)), 1.5) > 0.05
    return np.pad(inner, 4)


def test_one_voxel_is_the_step_to_the_faces(mask):
    assert np.array_equal(dilate(mask, SPACING, SPACING), ndimage.binary_dilation(mask))
    assert np.array_equal(erode(mask, SPACING, SPACING), ndimage.binary_erosion(mask))
    assert np.array_equal(opening(mask, SPACING, SPACING), ndimage.binary_opening(mask))
    assert np.array_equal(closing(mask, SPACING, SPACING), ndimage.binary_closing(mask))


@pytest.mark.parametrize("count", [1, 2, 6])
def test_an_octahedron_is_so_many_steps_to_the_faces(mask, count):
    radius = tuple(count * step for step in SPACING)
    grown = dilate(mask, radius, SPACING, "octahedron")
    assert np.array_equal(grown, ndimage.binary_dilation(mask, iterations=count))
    shrunk = erode(~mask, radius, SPACING, "octahedron")
    assert np.array_equal(shrunk, ndimage.binary_erosion(~mask, iterations=count, border_value=1))
    flat = ndimage.generate_binary_structure(3, 1)
    flat[0] = flat[2] = False
    by_slice = dilate(mask, (0.0, *radius[1:]), SPACING, "octahedron")
    assert np.array_equal(by_slice, ndimage.binary_dilation(mask, flat, iterations=count))


def test_an_octahedron_is_measured_in_mm():
    point = np.zeros((9, 9, 9), dtype=bool)
    point[4, 4, 4] = True
    grown = dilate(point, (3.0, 3.0, 3.0), (3.0, 1.0, 1.5), "octahedron")
    assert grown.sum() == 2 + (7 + 2 * 3 + 2 * 1)  # one step along K; seven, three, one in plane
    ball = dilate(point, (3.0, 3.0, 3.0), (3.0, 1.0, 1.5))
    assert grown.sum() < ball.sum()
    assert not (grown & ~ball).any()


def test_a_radius_of_zero_works_slice_by_slice(mask):
    flat = np.zeros((3, 3, 3), dtype=bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    radius = (0.0, 1.2, 1.2)
    assert np.array_equal(erode(mask, radius, SPACING), ndimage.binary_erosion(mask, flat))
    assert np.array_equal(dilate(mask, radius, SPACING), ndimage.binary_dilation(mask, flat))


def test_radii_are_in_mm():
    point = np.zeros((9, 9, 9), dtype=bool)
    point[4, 4, 4] = True
    grown = dilate(point, (3.0, 3.0, 3.0), (3.0, 1.0, 1.5))
    extents = [np.ptp(np.flatnonzero(grown.any(axis=axes))) for axes in ((1, 2), (0, 2), (0, 1))]
    assert extents == [2, 6, 4]


def test_closing_at_the_border_does_not_spill():
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[0] = True
    assert np.array_equal(closing(mask, (4.0, 4.0, 4.0), (1.0, 1.0, 1.0)), mask)


def test_empty_and_full():
    empty, full = np.zeros((3, 3, 3), dtype=bool), np.ones((3, 3, 3), dtype=bool)
    assert not dilate(empty, SPACING, SPACING).any()
    assert erode(full, SPACING, SPACING).all()
    assert not largest_component(empty).any()
    assert not largest_component_by_slice(empty).any()


def test_components_by_volume_and_by_slice():
    mask = np.zeros((2, 4, 6), dtype=bool)
    mask[:, 0, :2] = True
    mask[0, 3, :3] = True
    assert largest_component(mask).sum() == 4
    by_slice = largest_component_by_slice(mask)
    assert by_slice[0].sum() == 3
    assert by_slice[1].sum() == 2
