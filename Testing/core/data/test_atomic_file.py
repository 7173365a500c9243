"""Targets appear whole or not at all, whatever happens to the writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from FlareMRCore.data.atomic_file import (
    PARTIAL_SUFFIX,
    write_atomically,
    write_json_atomically,
    write_text_atomically,
)
from FlareMRCore.errors import UsageError

HANGING_WRITER = """
import sys, time
from pathlib import Path
from FlareMRCore.data.atomic_file import write_atomically

def write(stream):
    stream.write(b"new " * 100_000)
    stream.flush()
    print("half", flush=True)
    time.sleep(60)

write_atomically(Path(sys.argv[1]), write)
"""


def test_content_replaces_the_old_file(tmp_path):
    path = tmp_path / "Größe 肝.txt"
    write_text_atomically(path, "old")
    write_text_atomically(path, "neu ü")
    assert path.read_bytes() == "neu ü".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_numbers_that_json_does_not_know(tmp_path):
    path = tmp_path / "a.json"
    write_json_atomically(path, {"file": Path("b"), "values": (1, float("nan"))})
    assert path.read_text(encoding="utf-8") == (
        '{\n "file": "b",\n "values": [\n  1,\n  null\n ]\n}\n'
    )


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_target_as_it_was(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_killed_writer_leaves_the_target_as_it_was(tmp_path):
    path = tmp_path / "case.nii.gz"
    path.write_bytes(b"old")
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", HANGING_WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert path.read_bytes() == b"old"
    left = [p for p in tmp_path.iterdir() if p != path]
    assert [p.suffix for p in left] == [PARTIAL_SUFFIX]
    assert not [p for p in left if p.name.endswith((".nii.gz", ".nii", ".nrrd"))]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "output.not-writable"),
        (errno.EROFS, "output.not-writable"),
        (errno.ENOSPC, "output.disk-full"),
    ],
)
def test_failures_of_the_file_system_are_explained(tmp_path, number, code):
    path = tmp_path / "a.bin"

    def write(stream: BinaryIO) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(UsageError) as caught:
        write_atomically(path, write)
    assert caught.value.code == code
    assert "a.bin" in str(caught.value)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere"
)
def test_a_read_only_folder_is_explained(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError) as caught:
            write_text_atomically(tmp_path / "a.txt", "text")
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.code == "output.not-writable"


def test_a_missing_folder_is_explained(tmp_path):
    with pytest.raises(UsageError) as caught:
        write_text_atomically(tmp_path / "no" / "a.txt", "text")
    assert caught.value.code == "output.folder-missing"


def test_long_names_fit(tmp_path):
    path = tmp_path / ("x" * 240 + ".nii.gz")
    write_text_atomically(path, "text")
    assert path.read_text() == "text"
