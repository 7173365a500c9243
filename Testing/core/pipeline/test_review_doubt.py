"""Doubt: what is odd about a label map made by hand, and that it is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.pipeline import review_doubt
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.review_doubt import Doubt, doubt_of, measure

GRID = Geometry((20, 20, 20), (10.0, 10.0, 10.0), (0.0, 0.0, 0.0))
LIVER = organ_table().by_id("liver").value
KIDNEY = organ_table().by_id("left_kidney").value


def labels(array: np.ndarray) -> LabelMap:
    return LabelMap(array, GRID, organ_table())


def rules(doubt: Doubt, organ: str) -> set[str]:
    return {objection.rule for objection in doubt.objections if objection.organ == organ}


def liver(size: int = 11) -> np.ndarray:
    """A liver of `size` cubed mL."""
    array = np.zeros(GRID.shape, np.uint8)
    array[2 : 2 + size, 2 : 2 + size, 2 : 2 + size] = LIVER
    return array


def test_a_plausible_organ_has_no_objection_a_missing_one_has() -> None:
    doubt = measure([labels(liver())], {})
    assert rules(doubt, "liver") == set()
    assert rules(doubt, "spleen") == {"missing"}
    assert doubt.score == len(organ_table()) - 1


def test_pieces_volume_and_border_are_told_with_numbers() -> None:
    array = liver(6)
    array[-1, -6:, -8:] = LIVER
    found = {o.rule: o for o in measure([labels(array)], {}).objections if o.organ == "liver"}
    assert set(found) == {"touches-border", "fragmented"}
    assert found["fragmented"].found == pytest.approx(48 / (216 + 48))
    small = {o.rule: o for o in measure([labels(liver(2))], {}).objections if o.organ == "liver"}
    assert small["implausible-volume"].found == pytest.approx(8.0)
    assert small["implausible-volume"].limit > 8.0


def test_a_kidney_on_the_wrong_side_and_a_patient_upside_down() -> None:
    array = liver()
    world = GRID.index_to_world(np.argwhere(array == LIVER).mean(axis=0))
    sides = [GRID.world_to_index(world + np.array(step)) for step in ((80, 0, 0), (0, 0, 80))]
    right, above = (array.copy() for _ in sides)
    for place, copy in zip(sides, (right, above), strict=True):
        k, j, i = (int(n) for n in np.clip(np.round(place), 0, 18))
        copy[k : k + 2, j : j + 2, i : i + 2] = KIDNEY
    assert "upside-down" in rules(measure([labels(above)], {}), "liver+left_kidney")
    spleen = right.copy()
    spleen[right == KIDNEY] = organ_table().by_id("spleen").value
    assert "wrong-side" in rules(measure([labels(spleen)], {}), "liver+spleen")


def test_unsure_networks_and_changing_rounds_add_doubt() -> None:
    base = measure([labels(liver())], {}).score
    organs = [{"id": "liver", "confidence": 0.6, "agreement": 0.5}]
    unsure = measure([labels(liver())], {"organs": organs})
    assert rules(unsure, "liver") == {"low-confidence", "low-agreement"}
    assert unsure.score == pytest.approx(base + 2 + 0.4)
    steady = measure([labels(liver()), labels(liver())], {})
    assert steady.score == base
    grown = measure([labels(liver(9)), labels(liver())], {})
    changed = (11**3 - 9**3) / 11**3
    assert rules(grown, "all") == {"rounds-differ"}
    assert grown.score == pytest.approx(base + 1 + changed, abs=1e-3)


def test_a_good_phantom_is_less_doubtful_than_an_empty_map() -> None:
    _, truth = make_phantom(3, "t2", geometry=phantom_geometry(6.0))
    empty = LabelMap(np.zeros_like(truth.array), truth.geometry, truth.labels)
    assert measure([truth], {}).score < 3 < measure([empty], {}).score


def test_the_answer_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(tmp_path / "store")
    artifact = tmp_path / "a"
    (artifact / "notes").mkdir(parents=True)
    report = {"organs": [{"id": "liver", "confidence": 0.5, "agreement": None}]}
    (artifact / "notes" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    write_label_map(tmp_path / "l.nii.gz", labels(liver()))
    rounds = [("0" * 64, tmp_path / "l.nii.gz")]
    first = doubt_of(store, artifact, rounds)
    assert rules(first, "liver") == {"low-confidence"}
    with monkeypatch.context() as context:
        context.setattr(review_doubt, "measure", None)
        assert doubt_of(store, artifact, rounds) == first
    (memory,) = (store.root / "reviews" / "doubts").iterdir()
    memory.write_text("{", encoding="utf-8")
    assert doubt_of(store, artifact, rounds) == first
