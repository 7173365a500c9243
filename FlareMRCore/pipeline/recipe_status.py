"""How far the stages of a recipe are, and what in the store nobody needs any more."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.file_lock import is_locked
from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.recipe_tasks import Task, stage_outcome, stage_tasks
from FlareMRCore.pipeline.run_log import past_runs, run_keys
from FlareMRCore.pipeline.run_pulse import is_alive
from FlareMRCore.pipeline.runner import RunOptions, known_inputs
from FlareMRCore.pipeline.stage import Surroundings

MB = 1024**2


@dataclass(frozen=True, slots=True)
class StageStatus:
    """State of a stage.

    Attributes:
        id: of the stage in the recipe.
        use: kind of stage.
        state: ``"done"`` (in the store, made by this recipe's last run), ``"cached"`` (in the
            store from before), ``"running"``, ``"failed"``, ``"interrupted"`` (continues where
            it was), ``"stale"`` (there is a result of another version, input or parameter),
            ``"missing"``, or ``"waiting"`` for an earlier stage.
        done: finished tasks.
        total: all tasks; 0 while they are not known.
        detail: a sentence for people.
    """

    id: str
    use: str
    state: str
    done: int = 0
    total: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was, or would be, removed from a store."""

    paths: tuple[Path, ...]
    size_mb: float


def recipe_status(
    recipe: Recipe, dataset: Dataset | None, store: ArtifactStore, options: RunOptions
) -> tuple[StageStatus, ...]:
    """State of each stage in order; nothing is run or changed.

    Raises:
        DatasetError: a file outside of the store is missing.
    """
    digests = FileDigests(store.root / "digests.json")
    surroundings = Surroundings(digests.of, options.data, store.root)
    known = known_inputs(dataset, digests)
    nothing: Mapping[str, Any] = {"stages": {}}
    last = next(iter(past_runs(store, recipe)), nothing)
    result = []
    for spec in recipe.stages:
        stage = options.stages[spec.use]
        earlier = run_keys(last).get(spec.id, [])
        if any(name not in known for names in spec.inputs.values() for name in names):
            result.append(_waiting(store, spec, earlier))
            continue
        tasks = stage_tasks(spec, stage, known, surroundings)
        artifacts = [artifact for task in tasks if (artifact := store.find(task.key))]
        made = last["stages"].get(spec.id, {}).get("made", 0)
        status = _status(store, spec, tasks, earlier, made=made)
        result.append(status)
        if status.done == status.total:
            known[spec.id] = stage_outcome(tasks, artifacts)
    return tuple(result)


def _waiting(store: ArtifactStore, spec: StageSpec, earlier: Sequence[str]) -> StageStatus:
    is_stale = any(store.folder_of(key).is_dir() for key in earlier)
    state = "stale" if is_stale else "waiting"
    return StageStatus(spec.id, spec.use, state, detail="an earlier stage comes first")


def _status(
    store: ArtifactStore,
    spec: StageSpec,
    tasks: Sequence[Task],
    earlier: Sequence[str],
    *,
    made: int,
) -> StageStatus:
    missing = [task.key for task in tasks if not store.folder_of(task.key).is_dir()]
    done = len(tasks) - len(missing)
    state, detail = "done" if made else "cached", ""
    if missing:
        state, detail = _open_state(store, missing, earlier)
    return StageStatus(spec.id, spec.use, state, done, len(tasks), detail)


def _open_state(
    store: ArtifactStore, missing: Sequence[str], earlier: Sequence[str]
) -> tuple[str, str]:
    failures = [fields for key in missing if (fields := store.failure(key))]
    if any(store.is_running(key) for key in missing):
        return "running", ""
    if failures:
        return "failed", str(failures[0].get("message", "")).partition("\n")[0]
    if any(store.was_interrupted(key) for key in missing):
        return "interrupted", "run it again to continue"
    if earlier and not set(missing) <= set(earlier):
        return "stale", "version, inputs or parameters changed since the last run"
    return "missing", ""


def prune_store(store: ArtifactStore, *, keep_runs: int = 1, dry_run: bool = False) -> Pruned:
    """Remove what the last `keep_runs` runs of each recipe, preset and profile do not use.

    Artifacts, resumable state, older runs and the remains of killed processes go; what a living
    process works on stays.

    Raises:
        UsageError: `keep_runs` is negative, or there is no store.
    """
    if keep_runs < 0:
        raise UsageError("The number of runs to keep is negative.", code="usage.keep-runs")
    if not store.root.is_dir():
        raise UsageError(f"There is no store '{store.root}'.", code="usage.store")
    paths = tuple(_useless(store, keep_runs))
    size = sum(_size(path) for path in paths)
    if not dry_run:
        for path in paths:
            _remove(path)
    return Pruned(paths, size / MB)


def _useless(store: ArtifactStore, keep_runs: int) -> Iterator[Path]:
    kept: set[str] = set()
    seen: Counter[tuple[str, str, str]] = Counter()
    for run in past_runs(store):
        name = (run["recipe"], run["preset"], run["profile"])
        seen[name] += 1
        if seen[name] > keep_runs and not is_alive(Path(run["folder"])):
            yield Path(run["folder"])
        else:
            kept |= {key for keys in run_keys(run).values() for key in keys}
    yield from (store.folder_of(key) for key in store.all_keys() if key not in kept)
    yield from _left_behind(store, kept)


def _left_behind(store: ArtifactStore, kept: set[str]) -> Iterator[Path]:
    """Half-written folders, state of stages that nobody will continue, and free locks."""
    for lock in sorted((store.root / "tmp").glob("*.lock")):
        if not is_locked(lock):
            yield from (path for path in (lock.with_suffix(""), lock) if path.exists())
    for folder in sorted(p for p in (store.root / "work").glob("*") if p.is_dir()):
        is_finished = store.find(folder.name) is not None
        if (folder.name not in kept or is_finished) and not store.is_running(folder.name):
            yield folder
    for lock in sorted((store.root / "work").glob("*.lock")):
        if not is_locked(lock):
            yield lock


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
