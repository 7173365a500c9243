"""Stacks that are upside down, and stacks that are too short."""

from __future__ import annotations

import json

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_stacks import FLIPS_NAME, SelectLongParameters, UnflipParameters
from Testing.core.pipeline.label_cases import context, labeled_case, row, values_of

GRID = Geometry((8, 24, 24), (3.0, 2.0, 2.0))


def stack(low_holes: int, high_holes: int) -> np.ndarray:
    """Bright sections with dark pixels punched into the first and the last."""
    array = np.zeros(GRID.shape)
    array[:, 4:20, 4:20] = 100
    for index, holes in ((0, low_holes), (-1, high_holes)):
        section = array[index, 6:18, 6:18]
        section[np.unravel_index(np.arange(holes), section.shape)] = 0
    return array


def run(name, folder, parameters, *cases):
    given = context(folder)
    return STAGES[name].run(StageInputs(cases={"cases": cases}), parameters, given), given.folder


def case(folder, patient, sequence, array, labels=None):
    return labeled_case(
        folder, labels, case_id=f"{patient}-{sequence}", patient_id=patient,
        images={sequence: array}, geometry=GRID,
    )  # fmt: skip


def test_all_stacks_of_an_upside_down_patient_are_turned(tmp_path):
    labels = np.zeros(GRID.shape)
    labels[1] = 1
    cases = (
        case(tmp_path, "p", "T2WI", stack(0, 0) + np.arange(8)[:, None, None], labels),
        case(tmp_path, "p", "In Phase", stack(40, 20)),
        case(tmp_path, "q", "In Phase", stack(20, 40)),
        case(tmp_path, "r", "DWI", stack(40, 20)),
    )
    found, folder = run("unflip", tmp_path, UnflipParameters(), *cases)
    assert found[2:] == cases[2:]
    for before, after in zip(cases[:2], found[:2], strict=True):
        volumes = [read_volume(c.image.path) for c in (before, after)]
        np.testing.assert_array_equal(volumes[1].array, volumes[0].array[::-1])
        assert volumes[1].geometry.coincides(volumes[0].geometry)
    assert values_of(found[0]) == values_of(cases[0])[::-1]
    flips = json.loads((folder / FLIPS_NAME).read_text(encoding="utf-8"))
    assert {name: flip["flipped"] for name, flip in flips.items()} == {"p": True, "q": False}
    assert flips["p"]["holes_low_mm2"] == 160.0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (SelectLongParameters(more_than_slices=5), ["short", "long"]),
        (SelectLongParameters(more_than_slices=6), ["short"]),
        (SelectLongParameters(min_extent_mm=12.0), ["short", "long"]),
        (SelectLongParameters(min_extent_mm=12.1), ["short"]),
        (SelectLongParameters(min_extent_mm=12.0, always=()), ["long"]),
    ],
)
def test_manual_labels_stay_and_others_must_show_enough(tmp_path, parameters, expected):
    across = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    cases = (
        labeled_case(tmp_path, row(1, 0), case_id="short", source="manual"),
        labeled_case(
            tmp_path, row(1, 0, 0, 0, 0, 0), case_id="long",
            geometry=Geometry((1, 1, 6), (2.0, 2.0, 2.0), direction=across),
        ),
    )  # fmt: skip
    found, _ = run("select-long", tmp_path, parameters, *cases)
    assert [one.case_id for one in found] == expected


def test_nothing_long_enough_is_an_error(tmp_path):
    short = labeled_case(tmp_path, row(1, 0))
    with pytest.raises(DatasetError, match="more than 9 slices and 0 mm"):
        run("select-long", tmp_path, SelectLongParameters(more_than_slices=9), short)
