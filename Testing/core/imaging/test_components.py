import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import (
    component_counts,
    fill_holes,
    keep_largest_components,
    remove_small_components,
)

CORNERS = np.ones((3, 3, 3), dtype=bool)


@pytest.fixture(scope="module")
def speckled() -> np.ndarray:
    """Blobs of four labels, touching each other, with holes and specks."""
    rng = np.random.default_rng(2)
    field = ndimage.gaussian_filter(rng.standard_normal((20, 30, 40)), 2)
    array = np.digitize(field, np.quantile(field, [0.6, 0.7, 0.8, 0.9])).astype(np.uint8)
    array[rng.random(array.shape) > 0.99] = 3
    return array


def scipy_largest(array: np.ndarray, value: int) -> np.ndarray:
    labeled, _ = ndimage.label(array == value, structure=CORNERS)
    return labeled == np.bincount(labeled.ravel())[1:].argmax() + 1


def test_largest_components_equal_scipy(speckled: np.ndarray) -> None:
    result = keep_largest_components(speckled, (1, 3, 4, 9))
    for value in (1, 3, 4):
        np.testing.assert_array_equal(result == value, scipy_largest(speckled, value))
    np.testing.assert_array_equal(result == 2, speckled == 2)


def test_counts_equal_scipy(speckled: np.ndarray) -> None:
    expected = {
        value: ndimage.label(speckled == value, structure=CORNERS)[1] for value in (1, 2, 3, 4)
    }
    assert component_counts(speckled) == expected


def test_views_and_read_only_arrays_work(speckled: np.ndarray) -> None:
    view = speckled.transpose(2, 0, 1)[::-1]
    view.setflags(write=False)
    result = keep_largest_components(view, (3,))
    np.testing.assert_array_equal(result == 3, scipy_largest(view, 3))


def test_of_equal_components_the_first_stays() -> None:
    array = np.array([[[1, 0, 1, 0, 1]]], dtype=np.uint8)
    np.testing.assert_array_equal(keep_largest_components(array, (1,)), [[[1, 0, 0, 0, 0]]])


def test_nothing_in_nothing_out() -> None:
    empty = np.zeros((2, 3, 4), dtype=np.uint8)
    np.testing.assert_array_equal(keep_largest_components(empty, (1, 2)), empty)
    assert component_counts(empty) == {}
    label_map = LabelMap(empty, Geometry((2, 3, 4), (1.0, 1.0, 1.0)), organ_table())
    assert not remove_small_components(label_map, min_volume_ml=1).array.any()


def test_small_components_go_but_no_organ_vanishes() -> None:
    array = np.zeros((3, 9, 9), dtype=np.uint8)
    array[:, :3, :3] = 1  # 27 voxels of 0.1 ml
    array[0, 6:8, 0] = 1
    array[0, 8, 8] = 5
    array[2, 8, 6] = 5
    label_map = LabelMap(array, Geometry((3, 9, 9), (4.0, 5.0, 5.0)), organ_table())
    kept = remove_small_components(label_map, min_volume_ml=0.25).array
    assert [(kept == 1).sum(), (kept == 5).sum()] == [27, 1]
    assert (remove_small_components(label_map, min_volume_ml=0.2).array == 1).sum() == 29
    strict = remove_small_components(label_map, min_volume_ml=0.25, keep_largest=False).array
    assert not (strict == 5).any()


def test_cavities_are_filled_like_scipy(speckled: np.ndarray) -> None:
    mask = speckled != 1
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_filled_like_scipy(speckled: np.ndarray, axis: int) -> None:
    mask = speckled != 1
    slices = [ndimage.binary_fill_holes(part) for part in np.moveaxis(mask, axis, 0)]
    np.testing.assert_array_equal(fill_holes(mask, axis=axis), np.stack(slices, axis=axis))


def test_full_and_empty_masks_stay() -> None:
    for mask in (np.ones((2, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)):
        np.testing.assert_array_equal(fill_holes(mask), mask)
