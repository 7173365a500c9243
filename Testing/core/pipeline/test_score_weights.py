"""Helpers of score_weights.py: which organ a picture is about, and what it is called."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.metrics import score_case

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from score_weights import ScoredCase, picture_name, worst_organ, write_picture

GRID = Geometry((6, 20, 20), (8.0, 4.0, 4.0))


def test_the_picture_shows_the_worst_organ_that_is_there(tmp_path: Path) -> None:
    labels = organ_table().subset(("liver", "spleen", "stomach"))
    reference, prediction = (np.zeros(GRID.shape, dtype=np.uint8) for _ in range(2))
    reference[1:4, 2:10, 2:10] = prediction[1:4, 2:10, 2:9] = 1
    reference[1:4, 12:18, 12:18] = prediction[1:2, 12:18, 12:18] = 3
    maps = [LabelMap(array, GRID, labels) for array in (reference, prediction)]
    scores = list(score_case(maps[0], maps[1]))
    assert worst_organ(scores) == "spleen"  # no one has a stomach
    image = Volume(reference.astype(np.float32) + 1, GRID)
    path = tmp_path / "new" / "a.png"
    write_picture(path, ScoredCase(image, maps[0], maps[1], {"standard": scores}))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_names_of_pictures_are_plain() -> None:
    assert picture_name("a/b, fast", "UKAT GE, T1 (x)") == "b-fast-ukat-ge-t1-x.png"
