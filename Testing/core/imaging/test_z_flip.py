"""The detector of upside-down stacks on flipped, unflipped and truncated phantoms."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.orientation import reorient
from FlareMRCore.imaging.z_flip import (
    ZFlipRule,
    detect_z_flip,
    flip_label_slices,
    flip_slices,
)

GRID = phantom_geometry((9.0, 6.0, 6.0))
SEEDS = range(10)


@pytest.fixture(scope="module")
def people() -> list[tuple[Volume, LabelMap]]:
    return [make_phantom(seed, "t1_in", geometry=GRID) for seed in SEEDS]


def test_flipped_and_unflipped_stacks_are_told_apart(people):
    right = [not detect_z_flip(volume).flipped for volume, _ in people]
    right += [detect_z_flip(flip_slices(volume)).flipped for volume, _ in people]
    assert np.mean(right) >= 0.95


@pytest.mark.slow
def test_forty_turned_and_forty_unturned_stacks_are_told_apart():
    right = 0
    for seed in range(40):
        volume, _ = make_phantom(seed, "t1_in", geometry=GRID)
        right += not detect_z_flip(volume).flipped
        right += detect_z_flip(flip_slices(volume)).flipped
    assert right / 80 >= 0.95


def test_truncated_stacks_are_never_turned_without_doubt(people):
    count = GRID.shape[0]
    middle = Box((count // 3, 0, 0), (2 * count // 3, GRID.shape[1], GRID.shape[2]))
    for volume, _ in people:
        for stack, flipped in ((volume, False), (flip_slices(volume), True)):
            found = detect_z_flip(stack.cropped(middle))
            assert found.doubtful or found.flipped == flipped


def test_any_axis_order_gives_the_same_answer(people):
    volume = flip_slices(people[0][0])
    expected = detect_z_flip(volume)
    for codes in ("LPS", "IAR", "RPI"):
        assert detect_z_flip(reorient(volume, codes)) == expected


def stack(low_holes: int, high_holes: int, *, margin: int = 4) -> Volume:
    """Sections of 16 x 16 bright pixels with dark ones punched into the two ends."""
    array = np.zeros((8, 16 + 2 * margin, 16 + 2 * margin), dtype=np.float32)
    array[:, margin : margin + 16, margin : margin + 16] = 100
    for index, holes in ((0, low_holes), (-1, high_holes)):
        section = array[index, margin + 2 : -margin - 2, margin + 2 : -margin - 2]
        section[np.unravel_index(np.arange(holes), section.shape)] = 0
    return Volume(array, Geometry(array.shape, (3.0, 2.0, 2.0)))


@pytest.mark.parametrize(
    ("low", "high", "flipped", "doubtful"),
    [(40, 20, True, False), (20, 40, False, False), (24, 20, False, True), (0, 0, False, True)],
)
def test_the_ratio_decides(low, high, flipped, doubtful):
    found = detect_z_flip(stack(low, high))
    assert (found.flipped, found.doubtful) == (flipped, doubtful)
    assert (found.holes_low_mm2, found.holes_high_mm2) == (low * 4.0, high * 4.0)
    published = detect_z_flip(stack(24, 20), ZFlipRule(holes_ratio=1.0))
    assert published.flipped


def test_without_a_usable_slice_nothing_is_turned():
    found = detect_z_flip(stack(40, 20, margin=0 + 1), ZFlipRule(max_share=0.3))
    assert not found.flipped
    assert found.doubtful
    assert found.holes_low_mm2 is None


def test_labels_turn_with_their_image(people):
    volume, labels = people[0]
    turned = flip_label_slices(labels)
    assert turned.geometry == labels.geometry
    assert np.array_equal(turned.array, labels.array[::-1])
    assert np.array_equal(flip_slices(flip_slices(volume)).array, volume.array)
