"""Reference beside prediction: the slice that is wrong, both label maps, one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError
from FlareMRCore.imaging.orientation import reorient, reorient_labels
from FlareMRCore.pipeline.comparison import draw_comparison, worst_slice

GRID = Geometry((12, 40, 50), (10.0, 4.0, 4.0))
LIVER = organ_table().by_id("liver").color
SPLEEN = organ_table().by_id("spleen").color


def label_map(*boxes: tuple[int, slice]) -> LabelMap:
    """Boxes of a label value at some slices along K."""
    array = np.zeros(GRID.shape, dtype=np.uint8)
    for value, slices in boxes:
        array[slices, 5:35, 5 + 3 * value : 30] = value
    return LabelMap(array, GRID, organ_table())


def volume() -> Volume:
    image = np.linspace(1, 2, 12 * 40 * 50, dtype=np.float32).reshape(GRID.shape)
    return Volume(image, GRID)


def pixels(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Columns of the pixels of a color, those of the key left out."""
    return np.nonzero((picture[:-80] == color).all(axis=2))[1]


def test_the_worst_slice_has_most_voxels_in_one_mask_only() -> None:
    reference = np.zeros((4, 5, 6), dtype=bool)
    prediction = reference.copy()
    assert worst_slice(reference, prediction, axis=2) == 3
    reference[1, :2], reference[3] = True, True
    prediction[3] = True
    assert worst_slice(reference, prediction, axis=0) == 1
    prediction[2, :3] = True
    assert worst_slice(reference, prediction, axis=0) == 2


def test_both_label_maps_are_shown_where_the_organ_is_missed() -> None:
    reference = label_map((1, slice(2, 8)), (3, slice(8, 11)))
    prediction = label_map((1, slice(2, 5)))
    missed = draw_comparison(volume(), reference, prediction, "liver")
    columns = pixels(missed, LIVER)
    assert len(columns) > 100
    assert columns.max() < missed.shape[1] / 2
    assert len(pixels(missed, SPLEEN)) == 0
    same = pixels(draw_comparison(volume(), reference, reference, "liver"), LIVER)
    assert same.max() > missed.shape[1] / 2


def test_the_plane_is_that_of_the_slices_in_any_orientation() -> None:
    reference, prediction = label_map((1, slice(2, 8))), label_map((1, slice(2, 5)))
    expected = draw_comparison(volume(), reference, prediction, "liver")
    turned = [reorient_labels(m, "PLI") for m in (reference, prediction)]
    found = draw_comparison(reorient(volume(), "PLI"), turned[0], turned[1], "liver")
    assert np.array_equal(found, expected)


def test_other_grids_are_refused() -> None:
    good = label_map((1, slice(2, 8)))
    moved = LabelMap(good.array, replace(GRID, origin=(9.0, 0.0, 0.0)), good.labels)
    with pytest.raises(GeometryError, match="share a grid"):
        draw_comparison(volume(), good, moved, "liver")
