"""Scores of pairs of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.pipeline.evaluation import Pair, evaluate
from FlareMRCore.progress import SilentReporter


def test_tumors_are_scored_beside_organs(tmp_path: Path) -> None:
    """Files say what their values mean, and 14 is no organ."""
    geometry = Geometry((6, 6, 6), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    array = np.zeros(geometry.shape, dtype=np.uint8)
    array[1:5, 1:5, 1:5] = 1
    array[2:4, 2:4, 2:4] = 14
    shifted = array.copy()
    shifted[2, 2:4, 2:4] = 1
    for name, values in (("truth", array), ("found", shifted)):
        write_label_map(tmp_path / f"{name}.nii.gz", LabelMap(values, geometry, structure_table()))
    pair = Pair("a", tmp_path / "truth.nii.gz", tmp_path / "found.nii.gz")
    table = structure_table().subset(("liver", "tumor"))
    scores = evaluate((pair,), table, SilentReporter(), modes=("standard",)).scores["a"]
    assert {score.organ: round(score.dice, 4) for score in scores} == {
        "liver": round(2 * 56 / 116, 4),
        "tumor": round(2 * 4 / 12, 4),
    }
