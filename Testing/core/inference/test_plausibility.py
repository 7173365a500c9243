"""CT check, flags and the field-of-view warning."""

import numpy as np
import pytest
from numpy.typing import NDArray

from FlareMRCore.data.labels import organ_table
from FlareMRCore.inference.plausibility import (
    ct_error,
    field_of_view_warning,
    looks_like_ct,
    organ_flags,
    values_at_border,
)

TABLE = organ_table()
LIVER = TABLE.by_id("liver")


def ct() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    array = rng.normal(-1000, 15, (20, 40, 40))
    array[:, 5:35, 5:35] = rng.normal(40, 40, (20, 30, 30))
    array[:, 5:8, 5:35] = rng.normal(-100, 20, (20, 3, 30))
    array[:10, 12:20, 12:30] = rng.normal(-750, 80, (10, 8, 18))
    array[:, 28:32, 18:22] = rng.normal(600, 200, (20, 4, 4))
    return array.astype(np.float32)


def mr() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    array = np.abs(rng.normal(0, 12, (20, 40, 40)))
    array[:, 5:35, 5:35] = np.abs(rng.normal(350, 150, (20, 30, 30)))
    return array.astype(np.float32)


def test_hounsfield_units_are_recognized() -> None:
    assert looks_like_ct(ct())
    assert looks_like_ct(np.clip(ct(), -1000, 400))
    padded = np.pad(ct(), ((0, 0), (20, 20), (0, 0)), constant_values=-2048)
    assert looks_like_ct(padded)
    assert ct_error().code == "input.looks-like-ct"


@pytest.mark.parametrize(
    ("scale", "offset"), [(1, 0), (1e-3, 0), (1e3, 0), (1, -1000), (1, -1024), (10, -5000)]
)
def test_mr_is_not_taken_for_ct_however_scaled(scale: float, offset: float) -> None:
    assert not looks_like_ct((mr() * scale + offset).astype(np.float32))


@pytest.mark.parametrize(
    ("volume_ml", "at_border", "share", "expected"),
    [
        (0.0, False, 0.0, ("missing",)),
        (1500.0, False, 0.0, ()),
        (1500.0, True, 0.05, ("touches-border",)),
        (300.0, True, 0.0, ("touches-border",)),
        (300.0, False, 0.0, ("implausible-volume",)),
        (9000.0, True, 0.3, ("touches-border", "fragmented", "implausible-volume")),
    ],
)
def test_flags(volume_ml: float, at_border: bool, share: float, expected: tuple[str, ...]) -> None:
    assert organ_flags(LIVER, volume_ml, at_border=at_border, fragment_share=share) == expected


def test_border_values() -> None:
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[2, 2, 2] = 1
    labels[0, 2, 2] = 2
    labels[2, 4, 2] = 3
    labels[2, 2, 5] = 4
    assert values_at_border(labels) == {2, 3, 4}
    slice_only = np.zeros((1, 5, 6), dtype=np.uint8)
    slice_only[0, 2, 2] = 1
    slice_only[0, 0, 2] = 2
    assert values_at_border(slice_only) == {2}


def test_few_organs_raise_a_warning_that_names_them() -> None:
    assert not field_of_view_warning(dict.fromkeys(TABLE.values, 10.0), TABLE)
    warning = field_of_view_warning({1: 900.0, 3: 0.2}, TABLE)
    assert "1 of 13" in warning
    assert "liver" in warning
    assert "spleen" not in warning
