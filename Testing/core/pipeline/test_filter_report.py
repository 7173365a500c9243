"""Reports of filters: there and back, counted, and refused when damaged."""

from __future__ import annotations

import json

import pytest

from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.filter_report import (
    FILTER_NAME,
    FilteredCase,
    FilterReport,
    Finding,
    read_filter_report,
    write_filter_report,
)

GOOD = Finding("volume", "liver", True, 1500.0, 300.0, 2700.0, "mL", "It lies in between.")
BAD = Finding("missing", "spleen", False, 0.0, 40.0, None, "mL", "It is missing.")
REPORT = FilterReport(
    "volume-ratio",
    (
        FilteredCase("a", "p", "A", True, "All tests were passed.", (GOOD,)),
        FilteredCase("b", "p", "IP", False, "spleen: It is missing.", (BAD, GOOD)),
        FilteredCase("c", "q", "A", False, "spleen: It is missing.", (BAD,)),
    ),
)


def test_what_is_written_is_read(tmp_path):
    path = write_filter_report(tmp_path, REPORT)
    assert path == tmp_path / FILTER_NAME
    assert read_filter_report(tmp_path) == REPORT


def test_cases_are_counted():
    assert REPORT.kept == 1
    assert REPORT.by_sequence() == {"A": (1, 1), "IP": (0, 1)}
    assert REPORT.failures() == {"missing/spleen": 2}


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "filter": "x", "cases": []}'])
def test_damaged_reports_are_refused(tmp_path, text):
    (tmp_path / FILTER_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_filter_report(tmp_path)


def test_the_file_is_json_for_everybody(tmp_path):
    write_filter_report(tmp_path, REPORT)
    content = json.loads((tmp_path / FILTER_NAME).read_text(encoding="utf-8"))
    assert content["cases"][1]["findings"][0]["organ"] == "spleen"
    assert content["cases"][1]["findings"][0]["high"] is None
