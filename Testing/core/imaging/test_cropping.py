import numpy as np
import pytest

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.cropping import crop_to_box, foreground_box, margin_vox, paste_box

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
def test_box_is_tight(dtype: type) -> None:
    mask = np.zeros((5, 6, 7), dtype=dtype)
    mask[1, 2, 6] = 1
    mask[3, 4, 0] = 1
    assert foreground_box(mask) == Box((1, 2, 0), (4, 5, 7))
    assert foreground_box(np.zeros_like(mask)) is None
    assert foreground_box(np.ones_like(mask)) == Box((0, 0, 0), (5, 6, 7))


def test_crop_inside_is_a_view() -> None:
    part = crop_to_box(ARRAY, Box((0, 1, 1), (2, 3, 3)))
    assert np.shares_memory(part, ARRAY)
    np.testing.assert_array_equal(part, ARRAY[:, 1:3, 1:3])


def test_crop_past_the_edge_is_filled() -> None:
    box = Box((-1, 0, 2), (2, 4, 5))
    part = crop_to_box(ARRAY, box, fill=-7)
    padded = np.pad(ARRAY, ((1, 0), (0, 1), (0, 1)), constant_values=-7)
    np.testing.assert_array_equal(part, padded[:, :, 2:])
    assert (crop_to_box(ARRAY, Box((5, 5, 5), (7, 7, 7)), fill=3) == 3).all()
    assert (crop_to_box(ARRAY, Box((-5, 0, 0), (-3, 2, 2)), fill=3) == 3).all()


@pytest.mark.parametrize(
    "box", [Box((0, 1, 1), (2, 3, 3)), Box((-1, -2, 2), (3, 2, 9)), Box((4, 0, 0), (6, 1, 1))]
)
def test_paste_undoes_crop(box: Box) -> None:
    back = paste_box(crop_to_box(ARRAY, box), box, shape=(2, 3, 4), fill=-1)
    inside = np.zeros(ARRAY.shape, dtype=bool)
    k, j, i = (slice(max(0, a), max(0, b)) for a, b in zip(box.start, box.stop, strict=True))
    inside[k, j, i] = True
    np.testing.assert_array_equal(back, np.where(inside, ARRAY, -1))


def test_patch_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="patch"):
        paste_box(ARRAY, Box((0, 0, 0), (1, 1, 1)), shape=(2, 3, 4))


def test_margin_is_rounded_up() -> None:
    geometry = Geometry((4, 4, 4), (5.0, 2.0, 0.7))
    assert margin_vox(10.0, geometry) == (2, 5, 15)
    assert margin_vox(0.0, geometry) == (0, 0, 0)
