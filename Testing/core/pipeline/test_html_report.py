"""The page: complete, self-contained, and safe with hostile names."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.case_record import CaseRecord, read_record, write_record
from FlareMRCore.pipeline.html_report import PageCase, report_page
from FlareMRCore.pipeline.statistics import organ_statistics
from Testing.core.pipeline.fake_engine import block_volume, fake_report

HOSTILE = "<script>alert('x')</script>\"&"


def record() -> CaseRecord:
    volume = block_volume()
    labels = LabelMap((volume.array == 100).astype("uint8"), volume.geometry, organ_table())
    report = fake_report(labels)
    return CaseRecord(
        case=HOSTILE,
        input=HOSTILE,
        frame=2,
        output="out.nii.gz",
        finished="2026-01-01T00:00:00+00:00",
        shape=volume.geometry.shape,
        spacing_mm=volume.geometry.spacing_mm,
        axis_codes="SAR",
        report=report.as_dict(),
        organs=organ_statistics(volume, labels, report.organs),
        warnings=(HOSTILE,),
        versions={"FlareMR": "1"},
    )


class Checker(HTMLParser):
    """Collects tags and what they point to; void elements need no end."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    error = {"message": HOSTILE, "hint": HOSTILE}
    cases = [PageCase(HOSTILE, record=record(), picture=b"PNG"), PageCase(HOSTILE, error=error)]
    page = report_page(cases)
    checker = checked(page)
    assert "script" not in checker.tags
    assert "link" not in checker.tags
    assert all(target.startswith(("data:image/png;base64,", "#")) for target in checker.targets)
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_tells_what_matters() -> None:
    page = report_page([PageCase("one", record=record(), picture=b"PNG")])
    checked(page)
    text = re.sub(r"<[^>]+>", " ", page)
    for expected in ("liver", "0.97", "not found", "float32", "frame 2", "fake.pt 000000000000"):
        assert expected in text
    assert "Research use only" in text
    assert "cases segmented" not in text


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_record(path, record())
    found = read_record(path)
    # JSON has no tuples.
    assert found == replace(record(), report=found.report)
    assert found.report["organs"][0]["volume_ml"] == record().report["organs"][0]["volume_ml"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "flaremr-case-1"}'])
def test_a_broken_record_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"r\.json"):
        read_record(path)
