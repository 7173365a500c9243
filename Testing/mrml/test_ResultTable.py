"""ResultTable: texts, files, the table node and what to look at first."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest
from FlareMRSegLib.ResultTable import ResultTable


def organ(name: str, value: int, volume_ml: float, **known: Any) -> dict[str, Any]:
    """One organ as in the record of a case."""
    unknown = {"mean_intensity": None, "sd_intensity": None, "confidence": None, "agreement": None}
    facts = {"id": name.replace(" ", "_"), "name": name, "value": value, "volume_ml": volume_ml}
    return {**facts, **unknown, "flags": [], **known}


@pytest.fixture
def table() -> ResultTable:
    organs = [
        organ("liver", 1, 1500.25, mean_intensity=123.456, confidence=0.95, agreement=0.97),
        organ("spleen", 3, 0.0, flags=["missing"]),
        organ("pancreas", 4, 60.0, mean_intensity=80.0, confidence=0.65, agreement=0.9),
        organ("stomach", 11, 90.0, confidence=0.6, flags=["fragmented", "touches-border"]),
        organ("duodenum", 12, 40.0, confidence=0.9, agreement=0.5),
    ]
    return ResultTable.fromRecord({"organs": organs})


def test_rows_keep_the_numbers(table: ResultTable) -> None:
    liver = table.rows[0]
    assert (liver.id, liver.value, liver.volumeMl, liver.meanIntensity) == (
        "liver",
        1,
        1500.25,
        123.456,
    )
    assert table.cells(liver) == ("liver", "1500.2", "123.5", "0.95", "0.97", "")


def test_unknown_numbers_are_empty_not_zero(table: ResultTable) -> None:
    assert table.cells(table.rows[1])[2:5] == ("", "", "")


def test_the_most_doubtful_organ_comes_first(table: ResultTable) -> None:
    assert [row.id for row in table.reviewFirst()] == ["stomach", "spleen", "duodenum", "pancreas"]
    assert all(row.reasons for row in table.reviewFirst())


def test_reasons_are_sentences(table: ResultTable) -> None:
    reasons = {row.id: row.reasons for row in table.rows}
    assert reasons["liver"] == ()
    assert reasons["spleen"] == ("Not found.",)
    assert reasons["duodenum"] == ("The averaged views disagree.",)
    assert len(reasons["stomach"]) == 3


def test_csv_can_be_read_again(table: ResultTable) -> None:
    rows = list(csv.DictReader(io.StringIO(table.toCsv())))
    assert [row["id"] for row in rows] == [row.id for row in table.rows]
    assert float(rows[0]["mean_intensity"]) == 123.456
    assert rows[1]["confidence"] == ""
    assert rows[3]["flags"] == "fragmented;touches-border"


def test_text_has_a_line_for_each_organ(table: ResultTable) -> None:
    lines = table.toText().splitlines()
    assert len(lines) == 1 + len(table.rows)
    assert {line.count("\t") for line in lines} == {len(table.headers()) - 1}


def test_the_table_node_has_numbers_and_gaps(table: ResultTable, scene: Any) -> None:
    node = table.toTableNode(scene, "organs")
    assert node.GetNumberOfRows() == len(table.rows)
    assert [node.GetColumnName(n) for n in range(node.GetNumberOfColumns())] == list(
        table.headers()
    )
    assert node.GetCellText(0, 0) == "liver"
    column = node.GetTable().GetColumn(3)
    assert column.GetValue(0) == 0.95
    assert math.isnan(column.GetValue(1))
    shorter = ResultTable(table.rows[:2])
    assert shorter.toTableNode(scene, "organs", node) is node
    assert node.GetNumberOfRows() == 2
