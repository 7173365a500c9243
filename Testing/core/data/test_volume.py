"""Arrays with their grid."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Box
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError


def test_arrays_have_one_type_and_cannot_be_changed(oblique_geometry):
    array = np.ones(oblique_geometry.shape, dtype=np.int16)
    volume = Volume(array, oblique_geometry)
    label_map = LabelMap(array, oblique_geometry, organ_table())
    assert volume.array.dtype == np.float32
    assert label_map.array.dtype == np.uint8
    for value in (volume, label_map):
        with pytest.raises(ValueError, match="read-only"):
            value.array[0, 0, 0] = 2


def test_crops_carry_their_grid(oblique_volume):
    box = Box((1, 2, 3), (3, 5, 9))
    cropped = oblique_volume.cropped(box)
    np.testing.assert_array_equal(cropped.array, oblique_volume.array[1:3, 2:5, 3:9])
    assert cropped.geometry == oblique_volume.geometry.cropped(box)


def test_array_and_grid_must_agree(oblique_geometry):
    with pytest.raises(GeometryError) as caught:
        Volume(np.zeros((1, 2, 3), np.float32), oblique_geometry)
    assert caught.value.code == "geometry.shape"
