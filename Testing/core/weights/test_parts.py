"""Part files: one owner each, taken over only from the dead."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from FlareMRCore.weights.parts import abandoned_parts, claim_part, release_part
from FlareMRCore.weights.registry import WeightsFile

FILE = WeightsFile("x.pt", 10, "ab" * 32)


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def part_of(folder: Path, owner: str, content: bytes = b"123") -> Path:
    path = folder / f"x.pt.abababab.{owner}.part"
    path.write_bytes(content)
    return path


def owner(process: int, host: str | None = None) -> str:
    here = "".join(c if c.isascii() and c.isalnum() else "_" for c in platform.node())[:20]
    return f"{host or here or 'host'}-{process}-00ff"


def test_each_claim_is_another_file(tmp_path: Path) -> None:
    assert len({claim_part(tmp_path, FILE) for _ in range(3)}) == 3


def test_a_released_part_goes_on(tmp_path: Path) -> None:
    part = claim_part(tmp_path, FILE)
    part.write_bytes(b"12345")
    release_part(part, FILE)
    assert claim_part(tmp_path, FILE).read_bytes() == b"12345"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_part_is_not_kept(tmp_path: Path) -> None:
    release_part(claim_part(tmp_path, FILE), FILE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="there, open files cannot be renamed")
def test_only_parts_of_the_dead_are_taken(tmp_path: Path) -> None:
    living = part_of(tmp_path, owner(os.getpid()), b"1234567")
    elsewhere = part_of(tmp_path, owner(1, "otherhost"), b"123456")
    dead = part_of(tmp_path, owner(dead_process()), b"12345")
    assert abandoned_parts(tmp_path, FILE) == [dead]
    assert claim_part(tmp_path, FILE).read_bytes() == b"12345"
    assert living.exists()
    assert elsewhere.exists()


def test_old_parts_are_taken_whoever_owns_them(tmp_path: Path) -> None:
    path = part_of(tmp_path, owner(1, "otherhost"))
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    assert abandoned_parts(tmp_path, FILE) == [path]


def test_the_longest_part_goes_first_and_too_long_ones_go_away(tmp_path: Path) -> None:
    part_of(tmp_path, "free-1", b"12")
    too_long = part_of(tmp_path, "free-2", b"12345678901")
    part_of(tmp_path, "free-3", b"123456789")
    assert claim_part(tmp_path, FILE).read_bytes() == b"123456789"
    assert not too_long.exists()


def test_parts_of_another_version_are_left_alone(tmp_path: Path) -> None:
    part_of(tmp_path, "free-1")
    other = WeightsFile("x.pt", 10, "cd" * 32)
    assert claim_part(tmp_path, other).read_bytes() == b""
