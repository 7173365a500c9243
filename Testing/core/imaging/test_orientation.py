import itertools

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.orientation import CANONICAL, orient_array, reorient, reorient_labels

ALL_CODES = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(("LR", "PA", "IS"))
    for signs in itertools.product((0, 1), repeat=3)
]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_every_orientation_keeps_each_voxel_in_place_and_comes_back(
    codes: str, oblique_volume: Volume
) -> None:
    turned = reorient(oblique_volume, codes)
    assert turned.geometry.axis_codes == codes
    assert turned.array.flags.c_contiguous
    # Where a voxel lies in the patient must not change: look every new voxel up in the old grid.
    index = np.stack(np.meshgrid(*map(np.arange, turned.array.shape), indexing="ij"), axis=-1)
    old = oblique_volume.geometry.world_to_index(turned.geometry.index_to_world(index))
    k, j, i = np.moveaxis(np.rint(old).astype(int), -1, 0)
    np.testing.assert_allclose(old, np.rint(old), atol=1e-6)
    np.testing.assert_array_equal(turned.array, oblique_volume.array[k, j, i])
    back = reorient(turned, oblique_volume.geometry.axis_codes)
    np.testing.assert_array_equal(back.array, oblique_volume.array)
    assert back.geometry.coincides(oblique_volume.geometry, tolerance_mm=1e-9)


def test_canonical_runs_to_superior_anterior_right(oblique_volume: Volume) -> None:
    turned = reorient(reorient(oblique_volume, "LPI"))
    assert turned.geometry.axis_codes == CANONICAL == "SAR"


def test_orienting_an_array_copies_nothing(oblique_volume: Volume) -> None:
    view, _ = orient_array(oblique_volume.array, oblique_volume.geometry, "PIL")
    assert np.shares_memory(view, oblique_volume.array)


def test_labels_keep_their_table() -> None:
    array = np.zeros((2, 3, 4), dtype=np.uint8)
    array[0, 1, 3] = 7
    label_map = LabelMap(array, Geometry((2, 3, 4), (5.0, 2.0, 1.0)), organ_table())
    turned = reorient_labels(label_map, "LPI")
    assert turned.array[0, 1, 1] == 7
    assert turned.labels is label_map.labels


@pytest.mark.parametrize("codes", ["SAS", "SA", "SARX", "sar", ""])
def test_nonsense_codes_are_refused(codes: str, oblique_volume: Volume) -> None:
    with pytest.raises(UsageError, match="orientation"):
        reorient(oblique_volume, codes)
