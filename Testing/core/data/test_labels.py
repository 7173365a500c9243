"""Label tables and foreign conventions."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.dataset import EXTRA_STRUCTURES
from FlareMRCore.data.labels import organ_table, remap, remap_names, structure_table
from FlareMRCore.errors import UsageError

FLARE = (
    "liver", "right_kidney", "spleen", "pancreas", "aorta", "inferior_vena_cava",
    "right_adrenal_gland", "left_adrenal_gland", "gallbladder", "esophagus", "stomach",
    "duodenum", "left_kidney",
)  # fmt: skip


def test_the_organs_have_the_numbers_of_the_challenge():
    table = organ_table()
    assert tuple(label.id for label in table) == FLARE
    assert table.values == tuple(range(1, 14))


def test_ids_colors_and_codes_are_unique_and_in_range():
    table = organ_table()
    assert len({label.color for label in table}) == len(table)
    assert len({(label.type_code, label.modifier_code) for label in table}) == len(table)
    for label in table:
        assert all(0 <= channel <= 255 for channel in label.color)
        assert 0 < label.plausible_ml[0] < label.plausible_ml[1]
        assert label.tolerance_mm > 0
        paired = label.id.startswith(("left", "right"))
        assert (label.modifier_code is not None) == paired
        if label.modifier_code:
            assert label.modifier_code.meaning.lower() == label.id.split("_")[0]


def test_trainings_know_tumors_and_ignored_voxels_too():
    table = structure_table()
    assert table.values == (*range(1, 14), 14, 255)
    assert {name: table.by_id(name).value for name in EXTRA_STRUCTURES} == EXTRA_STRUCTURES
    assert len({label.color for label in table}) == len(table)


def test_names_are_found_in_any_spelling():
    assert organ_table().by_id(" Right Kidney ").value == 2
    assert organ_table().by_id("left-adrenal-gland").value == 8
    with pytest.raises(UsageError, match="liver, right_kidney"):
        organ_table().by_id("heart")


def test_a_subset_keeps_values_and_order():
    assert organ_table().subset(("spleen", "liver", "spleen")).values == (1, 3)


@pytest.mark.parametrize("convention", remap_names())
def test_every_convention_maps_to_distinct_organs(convention):
    mapped = remap(np.arange(256), convention)
    assert mapped.dtype == np.uint8
    organs = mapped[mapped > 0]
    assert len(set(organs.tolist())) == len(organs)
    missing = set(range(1, 14)) - set(organs.tolist())
    assert missing == ({12} if convention == "btcv" else set())


@pytest.mark.parametrize(
    ("convention", "value", "organ"),
    [
        ("amos22", 6, "liver"),
        ("amos22", 10, "pancreas"),
        ("amos22", 13, "duodenum"),
        ("btcv", 10, None),
        ("btcv", 11, "pancreas"),
        ("btcv", 13, "left_adrenal_gland"),
        ("totalsegmentator-v2", 5, "liver"),
        ("totalsegmentator-v2", 52, "aorta"),
        ("totalsegmentator-v2", 63, "inferior_vena_cava"),
        ("totalsegmentator-v2", 64, None),
        ("totalsegmentator-mr", 12, "esophagus"),
        ("totalsegmentator-mr", 24, "inferior_vena_cava"),
        ("totalsegmentator-mr", 10, None),
    ],
)
def test_published_values(convention, value, organ):
    expected = organ_table().by_id(organ).value if organ else 0
    assert remap(np.array([value]), convention)[0] == expected


def test_remap_keeps_the_shape_and_accepts_what_it_does_not_know():
    np.testing.assert_array_equal(remap(np.array([[0, 300], [6, 99]]), "amos22"), [[0, 0], [1, 0]])
    assert remap(np.zeros((0, 2), np.int16), "amos22").shape == (0, 2)
    with pytest.raises(UsageError):
        remap(np.array([-1]), "amos22")
    with pytest.raises(UsageError, match="amos22"):
        remap(np.array([1]), "unknown")
