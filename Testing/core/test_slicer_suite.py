"""Runs `Testing/slicer` in the Slicer that SLICER_EXE names; not part of `make test`.

SLICER_EXE=/path/to/Slicer .venv/bin/python -m pytest -m slicer
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 3600


@pytest.mark.slicer
@pytest.mark.slow
def test_widgets_in_a_real_slicer(tmp_path: Path) -> None:
    slicer = os.environ.get("SLICER_EXE")
    if not slicer:
        pytest.skip("SLICER_EXE names no Slicer")
    command = [slicer, "--no-splash", "--testing", "--additional-module-paths"]
    command += [str(REPOSITORY / name) for name in ("FlareMRSeg", "FlareMRTrain")]
    script = REPOSITORY / "Testing" / "slicer" / "run_in_slicer.py"
    command += ["--python-script", str(script), "--output", str(tmp_path)]
    environment = {"FLAREMR_PYTHON": sys.executable, **os.environ}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " tests in " in done.stdout
