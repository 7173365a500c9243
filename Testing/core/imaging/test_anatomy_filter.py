"""Anatomy-aware filter: a good abdomen passes, and each rule is broken once."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.anatomy_filter import ADRENALS, VOXEL_MM3, AnatomyRule, check_anatomy
from FlareMRCore.imaging.filter_profiles import PROFILES
from FlareMRCore.imaging.orientation import reorient_labels

SPACING = (3.0, 1.2, 1.2)
IDS = {label.id: label.value for label in organ_table()}
CODE = PROFILES["code"].anatomy


def abdomen() -> np.ndarray:
    """Thirteen cubes of 8 x 8 x 8 voxels (512), adrenals of 16 rows, gut in one row touching."""
    array = np.zeros((10, 60, 60), dtype=np.uint8)
    places = [(j, i) for j in (2, 20, 38) for i in (2, 14, 26, 38, 50)]
    order = [name for name in IDS if name not in ("esophagus", "stomach", "duodenum")]
    for (j, i), name in zip(places, order, strict=False):
        rows = 16 if name in ADRENALS else 8
        array[1:9, j : j + rows, i : i + 8] = IDS[name]
    for n, name in enumerate(("esophagus", "stomach", "duodenum")):
        array[1:9, 50:58, 10 + 8 * n : 18 + 8 * n] = IDS[name]
    return array


def verdict(array: np.ndarray, rule: AnatomyRule | None = None) -> list[str]:
    labels = LabelMap(array, Geometry(array.shape, SPACING), organ_table())
    return [f"{o.rule}/{o.organ}" for o in check_anatomy(labels, rule).objections]


def test_a_good_abdomen_passes():
    assert verdict(abdomen()) == []
    assert verdict(abdomen(), CODE) == []


def test_a_missing_organ():
    array = abdomen()
    array[array == IDS["gallbladder"]] = 0
    assert verdict(array) == ["missing/gallbladder"]


def test_the_size_of_all_but_adrenals_counts_in_mm3():
    array = abdomen()
    array[1, 2, 2] = 0
    array[np.nonzero(array == IDS["right_adrenal_gland"])[0][:1], 0, 0] = 0
    assert verdict(array, AnatomyRule(closing_mm=None)) == ["small/liver"]
    fine = LabelMap(
        abdomen().repeat(2, axis=0), Geometry((20, 60, 60), (1.5, 1.2, 1.2)), organ_table()
    )
    assert check_anatomy(fine).accepted
    small = LabelMap(abdomen(), Geometry((10, 60, 60), (1.5, 1.2, 1.2)), organ_table())
    assert len(check_anatomy(small).objections) == 11


def test_short_adrenals_are_a_rule_of_the_code_only():
    array = abdomen()
    rows = np.flatnonzero((array == IDS["left_adrenal_gland"]).any(axis=(0, 2)))
    array[:, rows[14:]][array[:, rows[14:]] == IDS["left_adrenal_gland"]] = 0
    part = array[:, rows[14:]]
    part[part == IDS["left_adrenal_gland"]] = 0
    array[:, rows[14:]] = part
    assert verdict(array) == []
    assert verdict(array, CODE) == ["short/left_adrenal_gland"]


@pytest.mark.parametrize("organ", ["spleen", "right_adrenal_gland", "pancreas"])
@pytest.mark.parametrize(("count", "rejected"), [(63, False), (64, True)])
def test_a_second_component_of_64_voxels(organ, count, rejected):
    array = abdomen()
    piece = np.zeros(8 * 10, dtype=np.uint8)
    piece[:count] = IDS[organ]
    array[1:9, 46:56, 59] = piece.reshape(8, 10)
    expected = [f"scattered/{organ}"] if rejected else []
    assert verdict(array, AnatomyRule(closing_mm=None)) == expected


def test_the_gut_must_hang_together():
    array = abdomen()
    array[1:9, 50:58, 18] = 0  # between esophagus and stomach
    assert verdict(array, AnatomyRule(closing_mm=None, min_organ_mm3=0.0)) == [
        "scattered/esophagus+stomach+duodenum"
    ]


def test_gaps_along_the_vein_are_closed_before_counting():
    array = np.concatenate([abdomen()] * 4)
    vein = array == IDS["inferior_vena_cava"]
    array[~vein & (np.arange(40) >= 10)[:, None, None]] = 0
    assert vein[[9, 10, 19, 20]].sum() == 0
    assert verdict(array) == []
    assert verdict(array, AnatomyRule(vein_gap_mm=0.0)) == ["scattered/inferior_vena_cava"]


def test_orientation_does_not_matter():
    array = abdomen()
    array[1:9, 46:56, 59] = IDS["spleen"]
    labels = LabelMap(array, Geometry(array.shape, SPACING), organ_table())
    turned = reorient_labels(labels, "LPI")
    assert check_anatomy(turned) == check_anatomy(labels)


def test_presets_are_those_of_the_paper():
    assert AnatomyRule().min_organ_mm3 == pytest.approx(2211.84)
    assert AnatomyRule().max_second_mm3 == pytest.approx(276.48)
    assert pytest.approx(4.32) == VOXEL_MM3
