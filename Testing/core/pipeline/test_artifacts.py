import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.artifacts import (
    artifact_identity,
    artifact_key,
    canonical_json,
    content_digest,
    digest_of,
    hash_files,
    read_artifact,
)


@dataclass(frozen=True)
class Parameters:
    spacing_mm: tuple[float, ...] = (4.0, 1.5, 1.5)
    name: str = "é"


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": (1, 2.5), "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert canonical_json({"a": "é"}) == '{"a":"\\u00e9"}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_the_key_of_fixed_values_never_changes() -> None:
    identity = artifact_identity("resample", 1, Parameters(), {"cases": ["ab"]}, {"w": "cd"})
    text = (
        '{"external":{"w":"cd"},"inputs":{"cases":["ab"]},"parameters":{"name":"\\u00e9",'
        '"spacing_mm":[4.0,1.5,1.5]},"stage":"resample","version":1}'
    )
    assert canonical_json(identity) == text
    assert artifact_key(identity) == hashlib.sha256(text.encode("ascii")).hexdigest()
    assert artifact_key(identity).startswith("29ab2d05"), "keys of old stores must stay valid"


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "other"},
        {"version": 2},
        {"parameters": replace(Parameters(), name="f")},
        {"inputs": {"cases": ["ac"]}},
        {"inputs": {"other": ["ab"]}},
        {"external": {"w": "ce"}},
    ],
)
def test_whatever_decides_about_the_content_changes_the_key(change: dict[str, object]) -> None:
    values: dict[str, object] = {
        "stage": "resample",
        "version": 1,
        "parameters": Parameters(),
        "inputs": {"cases": ["ab"]},
        "external": {"w": "cd"},
    }
    base = artifact_key(artifact_identity(**values))  # type: ignore[arg-type]
    changed = artifact_key(artifact_identity(**{**values, **change}))  # type: ignore[arg-type]
    assert base != changed


def test_notes_are_no_content() -> None:
    files = {"weights.pt": "aa", "notes/curve.csv": "bb"}
    assert content_digest(files, []) == content_digest({**files, "notes/curve.csv": "cc"}, [])
    assert content_digest(files, []) != content_digest({**files, "weights.pt": "cc"}, [])
    assert content_digest(files, []) != content_digest(files, ["case"])


def test_files_are_hashed_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180
    assert hash_files(tmp_path) == {"a/b.txt": known}


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifact.json").write_text('{"key": 1}', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"artifact\.json"):
        read_artifact(tmp_path)
