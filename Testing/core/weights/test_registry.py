"""The registry file: what it must hold, and that all mistakes come in one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.registry import (
    NetworkSpec,
    Registry,
    entries_as_text,
    load_registry,
    parse_entries,
)
from Testing.core.weights.cases import CONTENT, entry_record, file_record, network_record

FILES = [file_record(name, data, []) for name, data in CONTENT.items()]


def parse(*entries: dict[str, Any], **top: Any):
    content = {"schema": 1, "weights": list(entries), **top}
    return parse_entries(json.dumps(content).encode(), "here.json")


def test_the_package_registry_is_valid() -> None:
    registry = load_registry()
    assert len({entry.id for entry in registry.entries}) == len(registry.entries)
    if registry.entries:
        assert registry.entry(registry.default_id()).default


def test_an_entry_is_read_into_typed_values() -> None:
    (entry,) = parse(entry_record("ours", FILES, default=True, scores={"dsc": 0.9}))
    assert entry.coarse == NetworkSpec(
        builder="flaremr-coarse",
        file="coarse.pt",
        spacing_mm=(6.0, 6.0, 6.0),
        fixed_shape=None,
        multiple_of=(8, 8, 8),
        organs=True,
        views=("flip-KJI", "zoom-0.94"),
        window_shape=None,
        margin_mm=12.0,
    )
    assert (entry.file("fine.pt").size, entry.size) == (288_000, 390_400)
    assert entry.scores == {"dsc": 0.9}
    with pytest.raises(WeightsError, match=r"no file 'x\.pt'; they have coarse\.pt, fine\.pt"):
        entry.file("x.pt")


def test_text_of_entries_reads_back() -> None:
    entries = parse(entry_record("a", FILES), entry_record("b", FILES, fine=None, default=True))
    assert parse_entries(entries_as_text(entries).encode(), "again") == entries


def test_default_is_the_marked_entry() -> None:
    entries = parse(entry_record("a", FILES), entry_record("b", FILES, default=True))
    assert Registry(entries).default_id() == "b"
    with pytest.raises(WeightsError, match="No weights are marked") as caught:
        Registry(parse(entry_record("a", FILES))).default_id()
    assert caught.value.code == "weights.no-default"


def test_all_mistakes_come_in_one_error() -> None:
    files = [
        {"name": "../evil.pt", "size": 0, "sha256": "ABC", "urls": ["ftp://x/y"]},
        {"name": "a.pt", "size": True, "sha256": "0" * 64, "colour": "red"},
        {"name": "A.PT", "size": 5, "sha256": "0" * 64},
    ]
    coarse = {**network_record("b.pt"), "spacing_mm": [6, 0, 6], "multiple_of": [8, 8]}
    bad = entry_record("Ours", files, coarse=coarse, fine=None, open_license="yes", version="")
    del bad["license"]
    again = entry_record("b", FILES, coarse=None, fine=None, default=True)
    with pytest.raises(WeightsError) as caught:
        parse(bad, again, again, extra=1)
    text = str(caught.value)
    for mistake in (
        "weights[0]: id: expected a lower-case identifier, found 'Ours'",
        "weights[0]: version: expected",
        "weights[0]: license is missing",
        "weights[0]: open_license: expected true or false, found 'yes'",
        "weights[0].files[0]: name: expected a plain file name, found '../evil.pt'",
        "weights[0].files[0]: size: expected a whole number of at least 1, found 0",
        "weights[0].files[0]: sha256: expected 64 hexadecimal digits, found 'ABC'",
        "weights[0].files[0]: urls: expected a list of http or https URLs",
        "weights[0].files[1]: size: expected a whole number of at least 1, found True",
        "weights[0].files[1]: unknown key 'colour'",
        "weights[0]: file name 'a.pt' appears more than once",
        "weights[0].coarse: spacing_mm: expected null or three positive numbers",
        "weights[0].coarse: multiple_of: expected null or three positive whole numbers",
        "weights[0].coarse: file: 'b.pt' is none of the entry's files",
        "weights[1]: at least one of coarse, fine and tumor is needed",
        "id 'b' appears more than once",
        "more than one entry is marked as default",
        "unknown key 'extra'",
    ):
        assert mistake in text


@pytest.mark.parametrize(
    "name", ["weights.json", "x.part", "a/b", "a\\b", "..", ".hidden", "", "a.", "ü.pt"]
)
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="name"):
        parse(entry_record("a", [file_record(name, b"1", [])]))


def test_a_network_needs_a_size() -> None:
    spec = {**network_record("coarse.pt"), "spacing_mm": None}
    with pytest.raises(WeightsError, match="spacing_mm and fixed_shape"):
        parse(entry_record("a", FILES, coarse=spec))
    spec["fixed_shape"] = [64, 64, 64]
    assert parse(entry_record("a", FILES, coarse=spec))[0].coarse.fixed_shape == (64, 64, 64)


def test_a_newer_format_says_so() -> None:
    with pytest.raises(WeightsError, match="format 2") as caught:
        parse(schema=2, unheard_of={})
    assert caught.value.code == "weights.newer"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"schema": 1}'])
def test_what_is_no_registry_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.json"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_registry(path)
    assert str(path) in str(caught.value)
    assert caught.value.code == "weights.registry"


def test_a_missing_registry_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot read"):
        load_registry(tmp_path / "none.json")
