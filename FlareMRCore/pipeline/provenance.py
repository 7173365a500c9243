"""Where an artifact comes from: everything about it that its key does not say."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from FlareMRCore.pipeline.artifacts import ARTIFACT_FORMAT, content_digest, hash_files
from FlareMRCore.pipeline.case_record import software_versions
from FlareMRCore.pipeline.recipe_cases import RecipeCase, case_record


@dataclass(frozen=True, slots=True)
class Making:
    """How an artifact was made.

    Attributes:
        recipe: name, preset and profile, e.g. ``"li2024 mini paper"``.
        stage_id: of the recipe.
        device: as asked for.
        threads: as asked for.
        duration_s: wall-clock seconds, of the last attempt if it was interrupted.
        processes: how many worked together; only stages that train use more than one.
    """

    recipe: str
    stage_id: str
    device: str
    threads: int | None
    duration_s: float
    processes: int = 1


def artifact_record(
    key: str,
    identity: Mapping[str, Any],
    folder: Path,
    cases: Sequence[RecipeCase],
    making: Making,
    given: Sequence[RecipeCase],
) -> dict[str, Any]:
    """Content of artifact.json for the files in `folder`, made of the `given` cases."""
    files = hash_files(folder)
    return {
        "format": ARTIFACT_FORMAT,
        "key": key,
        "digest": content_digest(files, [case.digest for case in cases]),
        **identity,
        "outputs": files,
        "cases": [case_record(case) for case in cases],
        "made_of": [case_record(case) for case in given],
        "seed": identity["parameters"].get("seed"),
        "recipe": making.recipe,
        "stage_id": making.stage_id,
        "device": making.device,
        "threads": making.threads,
        "processes": making.processes,
        "duration_s": round(making.duration_s, 3),
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": software_versions(),
        "git_commit": git_commit(),
    }


@cache
def git_commit() -> str | None:
    """Last commit that changed this package; None if it does not run from a clone."""
    try:
        done = subprocess.run(
            ["git", "log", "-1", "--format=%H", "--", "."],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
