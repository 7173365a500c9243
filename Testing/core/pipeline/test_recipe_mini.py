"""Every recipe from end to end on synthetic cases, straight and killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import Artifact
from FlareMRCore.pipeline.recipe import recipe_names

REPOSITORY = Path(__file__).resolve().parents[3]
LARGE_ORGANS = ("liver", "right_kidney", "left_kidney", "spleen", "stomach")
LOWEST_DICE = 0.6
SMALLEST_GAIN = 0.15
"""Of every recipe over the baseline, which sees no MR and nothing like it."""
BASELINE = "ct-only"


def _start(name: str, store: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "FlareMRCore", "recipe", "run", name, "--preset", "mini"]
    command += ["--store", str(store), "--device", "cpu", "--threads", "1", "--json-progress"]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def _artifacts(store: Path) -> dict[str, Artifact]:
    found = ArtifactStore(store)
    return {key: artifact for key in found.all_keys() if (artifact := found.find(key))}


def _kill_in_training(process: subprocess.Popen[bytes], store: Path) -> None:
    """Kill -9 once a training has written a checkpoint."""
    while not any((store / "work").glob("*/checkpoint.pt")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("name", recipe_names())
def test_a_killed_run_resumes_and_ends_like_a_straight_one(name: str, tmp_path: Path) -> None:
    assert _start(name, tmp_path / "straight").wait() == 0
    _kill_in_training(_start(name, tmp_path / "killed"), tmp_path / "killed")
    assert _start(name, tmp_path / "killed").wait() == 0
    straight, killed = _artifacts(tmp_path / "straight"), _artifacts(tmp_path / "killed")
    assert {key: a.digest for key, a in straight.items()} == {
        key: a.digest for key, a in killed.items()
    }
    dice = _large_organ_dice(straight)
    if name == BASELINE:
        assert dice <= LOWEST_DICE - SMALLEST_GAIN
    else:
        assert dice >= LOWEST_DICE


def _large_organ_dice(artifacts: dict[str, Artifact]) -> float:
    """Mean Dice of the large organs in cases that no training has seen."""
    (scores,) = (a for a in artifacts.values() if a.record["stage_id"] == "scores")
    text = (scores.folder / "summary.json").read_text(encoding="utf-8")
    organs = {o["organ"]: o["dice"]["mean"] for o in json.loads(text)["standard"]["organs"]}
    return sum(organs[organ] for organ in LARGE_ORGANS) / len(LARGE_ORGANS)
