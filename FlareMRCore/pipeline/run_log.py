"""The folder of one run: which keys it used, how it ended, and what it said."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.output_paths import make_folder
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.stage import Stage

RUN_NAME = "run.json"
LOG_NAME = "log.txt"


@dataclass(slots=True)
class RunLog:
    """Writes run.json after each change, and log.txt."""

    folder: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        folder: Path,
        recipe: Recipe,
        stages: Mapping[str, Stage],
        *,
        words: Sequence[str] = (),
    ) -> RunLog:
        """A new run of `recipe`.

        Args:
            folder: of the run, from `new_run_folder`.
            recipe: that is run.
            stages: the table of stages.
            words: arguments on the command line that run it again.
        """
        plan = [
            {
                "id": spec.id,
                "use": spec.use,
                "output": stages[spec.use].output,
                "inputs": {slot: list(names) for slot, names in spec.inputs.items()},
            }
            for spec in recipe.stages
        ]
        content: dict[str, Any] = {**_identity(recipe), "title": recipe.title}
        content["words"] = list(words)
        content |= {"started": _stamp(), "state": "running", "plan": plan, "stages": {}}
        log = cls(folder, content)
        log._write()
        return log

    def stage(self, stage_id: str, keys: Sequence[str], state: str, **more: Any) -> None:
        """Note the keys and the state of a stage."""
        self.content["stages"][stage_id] = {"state": state, "keys": list(keys), **more}
        self._write()

    def end(self, state: str, **more: Any) -> None:
        """Note how the run ended."""
        self.content |= {"state": state, "finished": _stamp(), **more}
        self._write()

    def line(self, text: str) -> None:
        """Append a line to log.txt."""
        stamp = datetime.now().astimezone().isoformat(timespec="seconds")
        with (self.folder / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")

    def _write(self) -> None:
        write_json_atomically(self.folder / RUN_NAME, self.content)


def new_run_folder(store: ArtifactStore, recipe_name: str) -> Path:
    """A new, empty folder for a run; names sort by time.

    Raises:
        UsageError: the store cannot be written to.
    """
    runs = store.root / "runs"
    make_folder(runs)
    folder = runs / f"{_stamp()}-{recipe_name}-{secrets.token_hex(2)}"
    folder.mkdir()
    return folder


def past_runs(store: ArtifactStore, recipe: Recipe | None = None) -> list[Mapping[str, Any]]:
    """Contents of run.json of all runs, newest first; only those of `recipe` if given."""
    found: list[Mapping[str, Any]] = []
    for path in sorted((store.root / "runs").glob(f"*/{RUN_NAME}"), reverse=True):
        content = json.loads(path.read_text(encoding="utf-8"))
        if recipe is None or all(content[k] == v for k, v in _identity(recipe).items()):
            found.append({**content, "folder": str(path.parent)})
    return found


def run_keys(run: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keys that a run used, by stage."""
    return {stage_id: stage["keys"] for stage_id, stage in run["stages"].items()}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _identity(recipe: Recipe) -> dict[str, str]:
    return {"recipe": recipe.name, "preset": recipe.preset, "profile": recipe.profile}
