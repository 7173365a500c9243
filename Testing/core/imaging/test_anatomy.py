import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.anatomy import SIDES, apply_anatomy_rules, check_sides, is_upside_down
from FlareMRCore.imaging.orientation import reorient_labels

IDS = {label.id: label.value for label in organ_table()}
# Slices are 5 mm: the liver's range is 24 mm = 4 whole slices longer on both sides.
LIVER = slice(20, 30)


def put(array: np.ndarray, organ: str, k: slice, i: slice, j: slice = slice(4, 8)) -> None:
    array[k, j, i] = IDS[organ]


def patient() -> np.ndarray:
    """A clean patient, axes S, A, R: I grows to the right."""
    array = np.zeros((50, 24, 40), dtype=np.uint8)
    put(array, "liver", LIVER, slice(25, 38))
    put(array, "spleen", slice(20, 29), slice(1, 6))
    put(array, "left_kidney", slice(15, 25), slice(7, 10))
    put(array, "right_kidney", slice(14, 24), slice(21, 24))
    put(array, "aorta", slice(5, 40), slice(14, 16))
    put(array, "pancreas", slice(18, 24), slice(11, 13))
    put(array, "duodenum", slice(14, 22), slice(17, 20))
    return array


def label_map(array: np.ndarray) -> LabelMap:
    geometry = Geometry(array.shape, (5.0, 2.0, 2.0), (-40.0, 11.0, -300.0))
    return LabelMap(array, geometry, organ_table())


VIOLATIONS = {
    "liver far below": ("liver", slice(10, 12), slice(30, 34), slice(12, 16)),
    "gallbladder far below": ("gallbladder", slice(8, 12), slice(30, 34), slice(12, 16)),
    "stomach far above": ("stomach", slice(36, 40), slice(3, 9), slice(12, 16)),
    "second right kidney": ("right_kidney", slice(15, 18), slice(30, 32), slice(12, 16)),
    "aorta beside the liver's height": ("aorta", slice(36, 50), slice(5, 25), slice(12, 20)),
    "pancreas above the liver": ("pancreas", slice(31, 33), slice(11, 13), slice(12, 16)),
    "duodenum above the liver": ("duodenum", slice(31, 33), slice(17, 20), slice(12, 16)),
    "spleen below the left kidney": ("spleen", slice(10, 14), slice(1, 6), slice(12, 16)),
    "spleen high up": ("spleen", slice(37, 40), slice(1, 6), slice(12, 16)),
}


@pytest.mark.parametrize("codes", ["SAR", "LPI", "RSA"])
@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_rule_removes_its_violation_and_nothing_else(name: str, codes: str) -> None:
    wrong = patient()
    organ, k, i, j = VIOLATIONS[name]
    put(wrong, organ, k, i, j)
    cleaned = apply_anatomy_rules(reorient_labels(label_map(wrong), codes))
    np.testing.assert_array_equal(reorient_labels(cleaned).array, patient())


@pytest.mark.parametrize("codes", ["SAR", "LPI", "RSA"])
def test_short_images_are_left_alone_in_any_orientation(codes: str) -> None:
    wrong = patient()
    organ, k, i, j = VIOLATIONS["spleen high up"]
    put(wrong, organ, k, i, j)
    turned = reorient_labels(label_map(wrong), codes)
    same = apply_anatomy_rules(turned, min_extent_mm=250.0)
    np.testing.assert_array_equal(same.array, turned.array)
    changed = apply_anatomy_rules(turned, min_extent_mm=249.0)
    np.testing.assert_array_equal(reorient_labels(changed).array, patient())


def test_what_is_within_the_margins_stays() -> None:
    array = patient()
    put(array, "gallbladder", slice(16, 20), slice(30, 34), slice(12, 16))
    put(array, "spleen", slice(30, 36), slice(1, 6))
    np.testing.assert_array_equal(apply_anatomy_rules(label_map(array)).array, array)


@pytest.mark.parametrize("organ", ["liver", "left_kidney"])
def test_without_landmarks_nothing_is_changed(organ: str) -> None:
    array = patient()
    array[array == IDS[organ]] = 0
    put(array, "spleen", slice(45, 48), slice(1, 6))
    np.testing.assert_array_equal(apply_anatomy_rules(label_map(array)).array, array)


def test_upside_down_patient_keeps_spleen_and_pancreas() -> None:
    turned = label_map(patient()[::-1].copy())
    assert is_upside_down(turned)
    assert not is_upside_down(label_map(patient()))
    np.testing.assert_array_equal(apply_anatomy_rules(turned).array, turned.array)


def test_partial_tables_are_fine() -> None:
    table = organ_table().subset(("liver", "left_kidney"))
    array = patient()
    array[~np.isin(array, table.values)] = 0
    geometry = label_map(array).geometry
    found = apply_anatomy_rules(LabelMap(array, geometry, table))
    np.testing.assert_array_equal(found.array, array)


def test_sides_are_checked_in_patient_space() -> None:
    checks = check_sides(reorient_labels(label_map(patient()), "PLI"))
    assert {(c.right, c.left) for c in checks} == {SIDES[0], SIDES[2]}
    assert all(check.consistent for check in checks)
    kidneys = checks[0]
    assert kidneys.gap_mm == pytest.approx((22 - 8) * 2.0)
    mirrored = check_sides(label_map(patient()[:, :, ::-1].copy()))
    assert not any(check.consistent for check in mirrored)


def test_empty_label_map_has_nothing_to_check() -> None:
    empty = label_map(np.zeros((3, 4, 5), dtype=np.uint8))
    assert check_sides(empty) == ()
    assert is_upside_down(empty) is None
    assert not apply_anatomy_rules(empty).array.any()
