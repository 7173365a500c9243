"""The phantom is an abdomen: sizes, sides, contacts, grids, sequences and faults."""

from __future__ import annotations

import itertools

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.phantom_anatomy import Anatomy, make_anatomy
from FlareMRCore.data.phantom_render import RenderOptions, sequence_names
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import UsageError

SEEDS = (0, 1, 2, 3)
COARSE = phantom_geometry(6.0)
PERFECT = RenderOptions(noise=0.0)


@pytest.fixture(scope="module", params=SEEDS)
def labels(request: pytest.FixtureRequest) -> LabelMap:
    return make_anatomy(request.param, phantom_geometry(3.0)).labels


def mask(labels: LabelMap, organ: str) -> np.ndarray:
    return labels.array == organ_table().by_id(organ).value


def center(labels: LabelMap, organ: str) -> np.ndarray:
    """RAS mm of an organ's center."""
    index = np.argwhere(mask(labels, organ)).mean(axis=0)
    return labels.geometry.index_to_world(index)


def touch(labels: LabelMap, first: str, second: str) -> bool:
    grown = ndimage.binary_dilation(mask(labels, first), np.ones((3, 3, 3)))
    return bool((grown & mask(labels, second)).any())


def test_volumes_are_plausible_and_organs_are_in_one_piece(labels: LabelMap) -> None:
    for label in organ_table():
        organ = labels.array == label.value
        volume_ml = organ.sum() * labels.geometry.voxel_volume_mm3 / 1000
        assert label.plausible_ml[0] <= volume_ml <= label.plausible_ml[1], label.id
        assert cc3d.connected_components(organ, connectivity=26).max() == 1, label.id


def test_sides_and_order_are_those_of_a_person(labels: LabelMap) -> None:
    at = {label.id: center(labels, label.id) for label in organ_table()}
    x, y, z = ({organ: place[n] for organ, place in at.items()} for n in range(3))
    for organ in ("liver", "gallbladder", "right_kidney", "right_adrenal_gland"):
        assert x[organ] > 0, organ
    for organ in ("spleen", "stomach", "left_kidney", "left_adrenal_gland"):
        assert x[organ] < 0, organ
    assert x["inferior_vena_cava"] > x["aorta"]
    assert z["gallbladder"] < z["liver"]
    assert y["spleen"] < y["stomach"]
    assert y["pancreas"] > y["aorta"]
    assert z["esophagus"] > z["stomach"] > z["duodenum"]
    for side in ("right", "left"):
        assert z[f"{side}_adrenal_gland"] > z[f"{side}_kidney"] + 25


def test_touching_organs_touch(labels: LabelMap) -> None:
    assert touch(labels, "esophagus", "stomach")
    assert touch(labels, "stomach", "duodenum")
    assert touch(labels, "duodenum", "pancreas")
    assert touch(labels, "gallbladder", "liver")
    assert not touch(labels, "right_kidney", "left_kidney")
    assert not touch(labels, "liver", "left_kidney")


def test_pancreas_passes_in_front_of_the_great_vessels(labels: LabelMap) -> None:
    shadow = mask(labels, "pancreas").any(axis=1)
    for vessel in ("aorta", "inferior_vena_cava"):
        both = shadow & mask(labels, vessel).any(axis=1)
        assert both.any(), vessel
        for k, i in np.argwhere(both):
            front = np.flatnonzero(mask(labels, "pancreas")[k, :, i]).min()
            assert front > np.flatnonzero(mask(labels, vessel)[k, :, i]).min()


def test_every_organ_is_there_at_6_mm() -> None:
    found = np.unique(make_anatomy(5, COARSE).labels.array)
    assert found.tolist() == [0, *organ_table().values]


def test_same_seed_same_phantom_other_seed_other_phantom() -> None:
    first, labels = make_phantom(1, "t2", geometry=COARSE)
    again, labels_again = make_phantom(1, "t2", geometry=COARSE)
    _, other = make_phantom(2, "t2", geometry=COARSE)
    np.testing.assert_array_equal(first.array, again.array)
    np.testing.assert_array_equal(labels.array, labels_again.array)
    liver = (mask(labels, "liver"), mask(other, "liver"))
    dice = 2 * (liver[0] & liver[1]).sum() / (liver[0].sum() + liver[1].sum())
    assert 0.4 < dice < 0.97


def test_default_phantom_has_one_grid_for_image_and_labels() -> None:
    image, labels = make_phantom(0, "ct")
    assert image.geometry.coincides(labels.geometry)
    assert image.geometry.axis_codes == "SAR"
    np.testing.assert_allclose(image.geometry.extent_mm, (240, 228, 324))


def _as_sar(array: np.ndarray, codes: str) -> np.ndarray:
    """The array with axes superior, anterior, right, found without the library."""
    axes = [next(n for n, c in enumerate(codes) if c in pair) for pair in ("SI", "AP", "RL")]
    flips = [n for n, pair in enumerate(("SI", "AP", "RL")) if codes[axes[n]] == pair[1]]
    return np.flip(array.transpose(axes), flips)


@pytest.mark.parametrize("order", list(itertools.permutations(("SI", "AP", "RL"))))
def test_every_orientation_shows_the_same_person(order: tuple[str, ...]) -> None:
    grid = phantom_geometry((12.0, 10.0, 9.0))
    image, labels = make_phantom(3, "venous", geometry=grid, options=PERFECT)
    for letters in itertools.product(*order):
        codes = "".join(letters)
        turned = phantom_geometry((12.0, 10.0, 9.0), axis_codes=codes)
        assert turned.axis_codes == codes
        other, other_labels = make_phantom(3, "venous", geometry=turned, options=PERFECT)
        assert (_as_sar(other_labels.array, codes) != labels.array).mean() < 1e-3
        gap = np.abs(_as_sar(other.array, codes) - image.array)
        assert np.mean(gap > 1e-3 * image.array.max()) < 0.02


def test_oblique_and_finer_grids_show_the_same_person() -> None:
    straight = make_anatomy(3, phantom_geometry(4.0)).labels
    grid = phantom_geometry((4.0, 3.0, 3.0), tilt_deg=(12.0, -8.0, 15.0))
    assert grid.obliquity_deg > 10
    tilted = make_anatomy(3, grid).labels
    for organ in ("liver", "spleen", "right_kidney", "aorta"):
        ours = np.argwhere(mask(straight, organ))
        index = grid.world_to_index(straight.geometry.index_to_world(ours.astype(float)))
        values = ndimage.map_coordinates(
            mask(tilted, organ).astype(np.float32), index.T, order=1, mode="nearest"
        )
        assert values.mean() > (0.8 if organ == "aorta" else 0.9), organ


def test_limited_field_of_view_is_a_window_on_the_same_person() -> None:
    whole = make_anatomy(1, COARSE)
    part = phantom_geometry(6.0, extent_mm=(60.0, 228.0, 324.0))
    window = make_anatomy(1, part)
    first = round(float(COARSE.world_to_index(np.array(part.origin))[0]))
    expected = whole.tissues[first : first + part.shape[0]]
    assert (window.tissues != expected).mean() < 1e-3


def test_tumors_are_kept_apart_from_labels() -> None:
    plain = make_anatomy(1, COARSE)
    ill = make_anatomy(1, COARSE, tumors=True)
    assert not plain.tumors.any()
    assert ill.tumors.any()
    np.testing.assert_array_equal(plain.tissues, ill.tissues)
    assert (ill.labels.array[ill.tumors] > 0).all()
    seen, _ = make_phantom(1, "t2", geometry=COARSE, options=PERFECT, tumors=True)
    unseen, _ = make_phantom(1, "t2", geometry=COARSE, options=PERFECT)
    changed = np.abs(seen.array - unseen.array) > 0
    assert changed[ill.tumors].mean() > 0.9
    assert not changed[~ndimage.binary_dilation(ill.tumors, iterations=4)].any()


def test_thick_slices_keep_the_grid_and_average() -> None:
    grid = phantom_geometry((9.0, 6.0, 6.0), extent_mm=(234.0, 228.0, 324.0))
    options = RenderOptions(noise=0.0, slice_samples=3)
    thick, labels = make_phantom(2, "t1_pre", geometry=grid, options=options)
    fine = phantom_geometry((3.0, 6.0, 6.0), extent_mm=(234.0, 228.0, 324.0))
    thin, _ = make_phantom(2, "t1_pre", geometry=fine, options=PERFECT)
    assert thick.geometry is grid
    assert labels.geometry is grid
    k, j, i = grid.shape
    expected = thin.array.reshape(k, 3, j, i).mean(axis=1)
    np.testing.assert_allclose(thick.array, expected, atol=0.02 * expected.max())
    center, _ = make_phantom(2, "t1_pre", geometry=grid, options=PERFECT)
    assert np.abs(center.array - expected).max() > 0.2 * expected.max()


def test_unusable_requests_say_what_is_known() -> None:
    with pytest.raises(UsageError, match="t1_in"):
        make_phantom(0, "flair", geometry=COARSE)
    with pytest.raises(UsageError, match="three letters"):
        phantom_geometry(axis_codes="SAL2")
    with pytest.raises(UsageError, match="three letters"):
        phantom_geometry(axis_codes="SAI")
    with pytest.raises(UsageError, match="negative"):
        make_anatomy(-1, COARSE)
    with pytest.raises(UsageError, match="average"):
        make_phantom(0, geometry=COARSE, options=RenderOptions(slice_samples=0))


def test_every_sequence_can_be_made() -> None:
    tiny = phantom_geometry(12.0)
    for name in sequence_names():
        image, _ = make_phantom(0, name, geometry=tiny)
        assert np.isfinite(image.array).all()


def test_grid_may_miss_the_body() -> None:
    far = phantom_geometry(12.0, center=(2000.0, 0.0, 0.0))
    anatomy: Anatomy = make_anatomy(0, far)
    assert not anatomy.tissues.any()
