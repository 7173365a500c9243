"""The region of interest."""

import numpy as np

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.inference.region import find_region

# 48 x 60 x 80 voxels; the coarse grid has 12 x 15 x 20 voxels of 8 mm.
IMAGE = Geometry((48, 60, 80), (2.0, 2.0, 2.0))
COARSE = IMAGE.resized((12, 15, 20))


def mask(*boxes: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    result = np.zeros(COARSE.shape, dtype=np.bool_)
    for box in boxes:
        result[box.slices] = True
    return result


def test_box_is_scaled_and_widened() -> None:
    region = find_region(mask(Box((4, 5, 6), (8, 9, 12))), COARSE, IMAGE, margin_mm=5.0)
    # 4 * 4 - 3 and 8 * 4 + 3 voxels along K, likewise along the others.
    assert region.box == Box((13, 17, 21), (35, 39, 51))
    assert region.found


def test_box_extends_to_the_end_where_the_foreground_does() -> None:
    region = find_region(mask(Box((0, 5, 6), (8, 15, 12))), COARSE, IMAGE, margin_mm=0.0)
    assert region.box == Box((0, 20, 24), (32, 60, 48))
    assert "inferior, anterior" in region.note


def test_margin_ends_with_the_image() -> None:
    region = find_region(mask(Box((1, 1, 1), (11, 14, 19))), COARSE, IMAGE, margin_mm=100.0)
    assert region.box == Box((0, 0, 0), (48, 60, 80))


def test_nothing_found_is_the_whole_image_and_said() -> None:
    region = find_region(mask(), COARSE, IMAGE, margin_mm=10.0)
    assert region.box == Box((0, 0, 0), IMAGE.shape)
    assert not region.found
    assert "nothing" in region.note


def test_detached_organs_count_and_specks_do_not() -> None:
    liver, kidney = Box((2, 2, 2), (8, 8, 8)), Box((2, 2, 14), (6, 6, 18))
    speck = Box((11, 14, 0), (12, 15, 1))
    assert find_region(mask(liver, kidney, speck), COARSE, IMAGE, margin_mm=0.0).box == Box(
        (8, 8, 8), (32, 32, 72)
    )


def test_a_speck_counts_if_there_is_nothing_else() -> None:
    region = find_region(mask(Box((3, 3, 3), (4, 4, 4))), COARSE, IMAGE, margin_mm=0.0)
    assert region.box == Box((12, 12, 12), (16, 16, 16))


def test_mask_stays_as_it_is() -> None:
    foreground = mask(Box((2, 2, 2), (8, 8, 8)), Box((11, 14, 0), (12, 15, 1)))
    before = foreground.copy()
    find_region(foreground, COARSE, IMAGE, margin_mm=0.0)
    np.testing.assert_array_equal(foreground, before)


def test_coarse_grids_may_reach_beyond_the_image() -> None:
    wide = IMAGE.cropped(Box((-8, -4, 0), (56, 60, 80))).resized((16, 16, 20))
    foreground = np.zeros(wide.shape, dtype=np.bool_)
    foreground[2:8, 4:8, 4:8] = True
    region = find_region(foreground, wide, IMAGE, margin_mm=0.0)
    # The mask begins with the image along K, and 12 voxels into it along J.
    assert region.box == Box((0, 12, 16), (24, 28, 32))
    assert "(inferior)" in region.note
