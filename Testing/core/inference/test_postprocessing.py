"""Pieces, rules, and the lines about organs."""

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.inference import postprocessing
from FlareMRCore.inference.postprocessing import clean, organ_results

GRID = Geometry((20, 20, 20), (10.0, 10.0, 10.0))


def two_livers() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[2:12, 2:12, 2:12] = 1
    labels[15:19, 15:18, 15:18] = 1
    labels[14, 2, 2] = 9
    return labels


def test_largest_piece_stays_and_the_rest_is_counted() -> None:
    labels = two_livers()
    before = labels.copy()
    cleaned = clean(labels, GRID, keep_largest=True, anatomy_rules=False)
    assert cleaned.volumes_ml[1] == pytest.approx(1000.0)
    assert cleaned.fragment_shares[1] == pytest.approx(36 / 1036)
    assert cleaned.labels[14, 2, 2] == 9
    np.testing.assert_array_equal(labels, before)


def test_pieces_stay_if_wanted() -> None:
    cleaned = clean(two_livers(), GRID, keep_largest=False, anatomy_rules=False)
    np.testing.assert_array_equal(cleaned.labels, two_livers())
    assert cleaned.fragment_shares[1] == pytest.approx(36 / 1036)


def test_empty_stays_empty() -> None:
    cleaned = clean(np.zeros(GRID.shape, np.uint8), GRID, keep_largest=True, anatomy_rules=True)
    assert not cleaned.labels.any()
    assert set(cleaned.volumes_ml.values()) == {0.0}


def test_rules_remove_a_pancreas_above_the_liver_and_say_so() -> None:
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[5:12, 2:12, 2:12] = 1
    labels[2:6, 15:18, 2:5] = 13
    labels[17:19, 15:18, 12:15] = 4
    cleaned = clean(labels, GRID, keep_largest=True, anatomy_rules=True)
    assert cleaned.volumes_ml[4] == 0
    assert cleaned.notes == ("The anatomical rules removed pancreas.",)
    assert clean(labels, GRID, keep_largest=True, anatomy_rules=False).volumes_ml[4] > 0
    short = clean(labels, GRID, keep_largest=True, anatomy_rules=True, min_extent_mm=200.0)
    assert short.volumes_ml[4] > 0


def test_a_result_is_never_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(label_map: LabelMap, *, min_extent_mm: float) -> LabelMap:
        return LabelMap(np.zeros_like(label_map.array), label_map.geometry, label_map.labels)

    monkeypatch.setattr(postprocessing, "apply_anatomy_rules", nothing)
    cleaned = clean(two_livers(), GRID, keep_largest=True, anatomy_rules=True)
    assert cleaned.labels.any()
    assert "not applied" in cleaned.notes[0]


def test_lines_about_organs() -> None:
    cleaned = clean(two_livers(), GRID, keep_largest=True, anatomy_rules=False)
    image = Volume(np.full(GRID.shape, 5.0, np.float32), GRID)
    wanted = organ_table().subset(("liver", "spleen"))
    liver, spleen = organ_results(
        cleaned, image, wanted, confidences=dict.fromkeys(range(14), 0.5), agreements={}
    )
    assert (liver.id, liver.volume_ml, liver.mean_intensity) == ("liver", 1000.0, 5.0)
    assert liver.confidence == 0.5
    assert liver.flags == ()
    assert (spleen.volume_ml, spleen.confidence, spleen.mean_intensity) == (0.0, None, None)
    assert spleen.flags == ("missing",)
