"""Memory of the system, out of files made by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.inference import system_memory
from FlareMRCore.inference.system_memory import available_memory_bytes, peak_memory_bytes


def test_available_memory_is_positive() -> None:
    assert available_memory_bytes() > 1024**2


def test_peak_grows_with_what_is_held() -> None:
    before = peak_memory_bytes()
    block = np.ones(int(before / 8) + 8_000_000)
    assert peak_memory_bytes() >= before + 50_000_000
    assert block.size


def test_meminfo_is_read(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  100 kB\nMemAvailable:   42 kB\n", encoding="ascii")
    assert system_memory._linux_available(file) == 42 * 1024
    assert system_memory._linux_available(tmp_path / "none") == system_memory._UNLIMITED


@pytest.mark.parametrize(
    ("limit", "used", "reclaimable", "expected"),
    [
        ("1000000", 600_000, 100_000, 500_000),
        ("1000000", 2_000_000, 0, 0),
        ("max", 600_000, 0, system_memory._UNLIMITED),
        (str(2**63 - 4096), 600_000, 0, system_memory._UNLIMITED),
    ],
)
def test_container_limits_count(
    tmp_path: Path, limit: str, used: int, reclaimable: int, expected: int
) -> None:
    (tmp_path / "memory.max").write_text(limit + "\n", encoding="ascii")
    (tmp_path / "memory.current").write_text(f"{used}\n", encoding="ascii")
    stat = f"anon 5\ninactive_file {reclaimable}\n"
    (tmp_path / "memory.stat").write_text(stat, encoding="ascii")
    limit_file = tmp_path / "memory.max"
    assert system_memory._container_available(limit_file, "memory.current") == expected


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count each program by itself")
def test_the_peak_of_the_program_that_started_this_one_does_not_count() -> None:
    code = "from FlareMRCore.inference.system_memory import peak_memory_bytes as p; print(p())"
    block = np.ones(40_000_000)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    # `preexec_fn` makes Python fork, so that the child begins as a copy of this process.
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, check=True, env=environment, preexec_fn=lambda: None,
    )  # fmt: skip
    assert int(done.stdout) < 0.5 * block.nbytes
