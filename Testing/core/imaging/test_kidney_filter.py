"""Kidney filter: aligned labels pass, labels 15 mm off do not, in every sequence it knows."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.phantom import phantom_geometry
from FlareMRCore.data.phantom_anatomy import Anatomy, make_anatomy
from FlareMRCore.data.phantom_render import render
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError, UsageError
from FlareMRCore.imaging.kidney_filter import (
    SEQUENCE_RULES,
    KidneyCheck,
    check_kidneys,
)

LOOKS = {
    "A": "arterial",
    "V": "venous",
    "DELAY": "delay",
    "T2": "t2_fs",
    "DWI": "dwi",
    "IP": "t1_in",
}
PIXEL_MM = 1.875
GRID = phantom_geometry(
    (3.0, PIXEL_MM, PIXEL_MM), extent_mm=(168.0, 150.0, 225.0), center=(0.0, -20.0, 20.0)
)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return make_anatomy(0, GRID)


def shifted(labels: LabelMap, axis: int) -> LabelMap:
    """Labels moved by 15 mm along an array axis."""
    array = np.roll(labels.array, round(15.0 / GRID.spacing_mm[axis]), axis)
    return LabelMap(array, labels.geometry, labels.labels)


@pytest.mark.parametrize("sequence", SEQUENCE_RULES)
def test_aligned_passes_and_shifted_fails(anatomy, sequence):
    image = render(anatomy, LOOKS[sequence], seed=0)
    good = check_kidneys(image, anatomy.labels, sequence)
    assert good.accepted, good
    bad = check_kidneys(image, shifted(anatomy.labels, 2), sequence)
    assert not bad.accepted, bad


@functools.cache
def person(seed: int) -> Anatomy:
    return make_anatomy(seed, GRID)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 20))
def test_twenty_people(seed):
    labels = person(seed).labels
    for sequence in SEQUENCE_RULES:
        image = render(person(seed), LOOKS[sequence], seed=seed)
        assert check_kidneys(image, labels, sequence).accepted, sequence
        assert not check_kidneys(image, shifted(labels, 2), sequence).accepted, sequence


def test_polarity_matters(anatomy):
    dark = render(anatomy, "t1_in", seed=0)
    assert not check_kidneys(dark, anatomy.labels, "T2").accepted
    bright = render(anatomy, "venous", seed=0)
    assert not check_kidneys(bright, anatomy.labels, "IP").accepted


def test_one_kidney_is_enough_after_contrast_only(anatomy):
    left = anatomy.labels.labels.by_id("left_kidney").value
    lost = np.where(anatomy.labels.array == left, np.uint8(0), anatomy.labels.array)
    labels = LabelMap(lost, anatomy.labels.geometry, anatomy.labels.labels)
    venous = check_kidneys(render(anatomy, "venous", seed=0), labels, "V")
    assert venous.left_dice is None
    assert venous.accepted
    assert not check_kidneys(render(anatomy, "t2_fs", seed=0), labels, "T2").accepted


def test_an_empty_image_shows_no_kidney(anatomy):
    flat = Volume(np.zeros(GRID.shape, dtype=np.float32), GRID)
    assert check_kidneys(flat, anatomy.labels, "V") == KidneyCheck(0.0, 0.0, False)


def test_wrong_requests(anatomy):
    image = Volume(np.zeros((4, 4, 4), np.float32), Geometry((4, 4, 4), (1.0, 1.0, 1.0)))
    with pytest.raises(UsageError, match="'OP'"):
        check_kidneys(image, anatomy.labels, "OP")
    with pytest.raises(GeometryError):
        check_kidneys(image, anatomy.labels, "V")
