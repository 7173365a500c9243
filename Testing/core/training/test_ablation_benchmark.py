"""The ablation benchmark: what its rows differ in, what they learn from, what it writes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from ablation import network_spec
from ablation_data import TAUGHT, cases_of, taught_labels
from ablation_results import results_text, scores, table_lines
from ablation_rows import (
    CT,
    FURTHER_STEPS,
    MR,
    PHTRANS,
    PHTRANS_SHAPE,
    ROWS,
    START_STEPS,
    STARTS,
    STEPS,
    Row,
    row_called,
    total_steps,
    training_parameters,
)
from cohort import tiny_case
from pseudo_labels import UNKNOWN

PACK = tuple(
    replace(tiny_case(0), case_id=name)
    for name in ("btcv-1", "btcv-2", "btcv-3", "xcat-1", "chaos-t2spir-1")
)


def test_rows_differ_in_what_their_titles_say() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    plain, curves, networks, synthesis = (
        training_parameters(row_called(f"data/{letter}")).sampling for letter in "abcd"
    )
    assert plain.keep_ct == 1
    assert curves == replace(networks, network_share=0.0)
    assert networks == replace(synthesis, contrast_shares=(0.0, 0.0, 1.0))
    assert training_parameters(row_called("data/d-seed1")) == replace(
        training_parameters(row_called("data/d")), seed=1
    )


def test_only_one_row_learns_from_labels_of_mr() -> None:
    assert [row.id for row in ROWS if set(row.groups) & set(MR)] == ["data/f"]


def test_rows_start_from_rows_that_fit_and_have_seen_no_other_ct() -> None:
    for row in (*ROWS, *STARTS):
        for needed in filter(None, (row.initial, row.labeled_by)):
            other = row_called(needed)
            assert other.steps
            assert (other.builder, other.spacing_mm) == (row.builder, row.spacing_mm)
            assert other.cts == row.cts


def test_rows_of_a_table_have_learned_for_as_long() -> None:
    steps = {row.id: total_steps(row) for row in ROWS}
    assert steps.pop("data/g") == steps.pop("data/g0") == START_STEPS + STEPS + FURTHER_STEPS
    lengths = {n for row, n in steps.items() if row.startswith(("data/", "maps/"))}
    assert lengths == {START_STEPS + STEPS}


def test_self_training_and_its_control_differ_in_the_pseudo_labels_alone() -> None:
    control, taught = row_called("data/g0"), row_called("data/g")
    assert replace(taught, id=control.id, title=control.title, labeled_by="") == control


def test_cases_are_those_of_the_groups_and_as_many_ct_as_asked_for() -> None:
    row = Row("x/y", "", CT)
    assert [case.case_id for case in cases_of(row, PACK)] == ["btcv-1", "btcv-2", "btcv-3"]
    some = [case.case_id for case in cases_of(replace(row, groups=("btcv", "xcat"), cts=1), PACK)]
    assert len(some) == 2
    assert some[1] == "xcat-1"
    two = {tuple(c.case_id for c in cases_of(replace(row, cts=2, seed=s), PACK)) for s in range(9)}
    assert len(two) > 1
    with pytest.raises(UsageError, match="4 CT; there are 3"):
        cases_of(replace(row, cts=4), PACK)


def test_pseudo_labels_teach_four_organs_where_they_are_sure() -> None:
    ids = {label.id: label.value for label in organ_table()}
    geometry = Geometry((1, 1, 4), (8.0, 8.0, 8.0), (0.0, 0.0, 0.0))
    found = np.array([[[ids["liver"], ids["stomach"], ids["spleen"], 0]]], dtype=np.uint8)
    sure = np.array([[[0.9, 0.9, 0.5, 0.9]]], dtype=np.float32)
    labels = taught_labels(LabelMap(found, geometry, organ_table()), Volume(sure, geometry))
    assert "stomach" not in TAUGHT
    assert labels.array.ravel().tolist() == [ids["liver"], 0, UNKNOWN, 0]


def test_networks_are_fed_at_their_spacing_and_phtrans_in_windows() -> None:
    spec = network_spec(row_called("spacing/6"))
    assert (spec.builder, spec.spacing_mm, spec.fixed_shape) == ("flaremr-base", (6.0,) * 3, None)
    windows = network_spec(row_called("network/phtrans"))
    assert (windows.builder, windows.fixed_shape) == (PHTRANS, PHTRANS_SHAPE)
    assert windows.spacing_mm == (8.0,) * 3


def _result(dice: float) -> dict[str, Any]:
    organs = ("liver", "right_kidney", "spleen", "left_kidney", "stomach")
    t2 = {
        "T2-SPIR 19": {organ: [dice, 0.5] for organ in organs[:4]},
        "T2-SPIR 20": {organ: [dice - 0.1, 0.3] for organ in organs[:4]},
    }
    ukat = {"UKAT GE": {"left_kidney": [0.2, 0.0], "right_kidney": [0.1, 0.0]}}
    example = {"TotalSegmentator": {organ: [0.7, 0.6] for organ in (*organs, "aorta")}}
    return {
        "scores": t2 | ukat | example,
        "minutes": 2.04,
        "cases": 30,
        "note": "",
        "machine": "processor",
    }


def test_the_table_shows_means_and_what_was_not_run() -> None:
    assert scores(_result(0.8)) == ("0.750", "0.70", "0.400", "0.10 0.20", "0.70")
    rows = (row_called("data/a"), row_called("data/b"))
    lines = list(table_lines(rows, {"data/a": _result(0.8)}))
    assert lines[2].startswith("| a. CT as it is | 0.750 | 0.70 | 0.400 | 0.10 0.20 | 0.70 | 30 |")
    assert "not run" in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_the_text_holds_every_row() -> None:
    text = results_text({"data/a": _result(0.8) | {"note": "3 MR labeled"}})
    assert all(f"| {row.title} |" in text for row in ROWS)
    assert "a. CT as it is: 3 MR labeled." in text
