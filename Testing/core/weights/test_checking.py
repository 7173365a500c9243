"""File checks, and the memory of hashes: right, quick, and unimpressed by corruption."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from FlareMRCore.weights import checking
from FlareMRCore.weights.checking import HashMemory, file_problem
from FlareMRCore.weights.models import describe_file

LONG_AGO_NS = 1_600_000_000 * 10**9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Datei ü.pt"
    path.write_bytes(b"content")
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were really read."""
    read: list[Path] = []
    real = checking.sha256_of

    def count(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(checking, "sha256_of", count)
    return read


def test_problems_tell_expected_and_found(file: Path) -> None:
    right = describe_file(file)
    assert file_problem(file, right) == ""
    file.write_bytes(b"c0ntent")
    found, expected = hashlib.sha256(b"c0ntent").hexdigest(), right.sha256
    assert file_problem(file, right) == f"{file} has the SHA-256 {found}, expected {expected}."
    file.write_bytes(b"cont")
    assert file_problem(file, right) == f"{file} has 4 bytes, expected 7."
    file.unlink()
    assert file_problem(file, right) == f"{file} is missing."
    file.mkdir()
    assert "missing" in file_problem(file, right)


def test_an_unchanged_file_is_read_once(tmp_path: Path, file: Path, hashed: list[Path]) -> None:
    memory = HashMemory(tmp_path / "new" / "memory.json")
    digests = {memory.sha256(file) for _ in range(3)}
    assert digests == {hashlib.sha256(b"content").hexdigest()}
    assert hashed == [file]


def test_a_changed_file_is_read_again(tmp_path: Path, file: Path, hashed: list[Path]) -> None:
    memory = HashMemory(tmp_path / "memory.json")
    memory.sha256(file)
    file.write_bytes(b"CONTENT")
    assert memory.sha256(file) == hashlib.sha256(b"CONTENT").hexdigest()
    assert len(hashed) == 2


def test_a_file_just_written_is_not_remembered(tmp_path: Path, hashed: list[Path]) -> None:
    fresh = tmp_path / "fresh.pt"
    fresh.write_bytes(b"1")
    memory = HashMemory(tmp_path / "memory.json")
    memory.sha256(fresh)
    memory.sha256(fresh)
    assert len(hashed) == 2


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b"\xff", b"null", b'{"a": 1}', b'{"a": ["x", 1, "y"]}', b'{"a": [1]}'],
)
def test_a_broken_memory_only_costs_time(
    tmp_path: Path, file: Path, hashed: list[Path], broken: bytes
) -> None:
    memory = HashMemory(tmp_path / "memory.json")
    memory.path.write_bytes(broken)
    assert memory.sha256(file) == hashlib.sha256(b"content").hexdigest()
    memory.sha256(file)
    assert hashed == [file]


def test_a_memory_that_cannot_be_written_only_costs_time(tmp_path: Path, file: Path) -> None:
    (tmp_path / "occupied").write_text("a file where a folder should be")
    memory = HashMemory(tmp_path / "occupied" / "memory.json")
    assert memory.sha256(file) == hashlib.sha256(b"content").hexdigest()
