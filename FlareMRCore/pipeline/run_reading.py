"""What a run of a recipe is doing, read from its files: no matter who started it, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from FlareMRCore.errors import DatasetError, reason_of
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import NOTES
from FlareMRCore.pipeline.run_log import LOG_NAME, RUN_NAME
from FlareMRCore.pipeline.run_pulse import Pulse, is_alive, read_pulse

LOG_LINES = 400
"""Lines of the log that are shown."""
LOG_BYTES = 1 << 18

ENDED = ("done", "cached", "incomplete")
"""States of a stage that ran to its end in this run."""


@dataclass(frozen=True, slots=True)
class StageReading:
    """One stage of a run.

    Attributes:
        id: of the stage in the recipe.
        use: kind of stage, a key of the table of stages.
        output: kind of what it makes, e.g. ``"cases"`` or ``"model"``.
        state: ``"done"``, ``"cached"`` (was in the store), ``"running"``, ``"failed"``,
            ``"interrupted"``, ``"incomplete"`` (other parts make the rest), ``"stale"`` (what it
            made is no longer in the store) or ``"waiting"``.
        done: finished tasks.
        total: all tasks; 0 while they are not known.
        seconds: it took; None while it did not end.
        keys: of its artifacts.
        folders: of those artifacts that are in the store.
        work: folders with resumable state, e.g. the curve of a training that runs.
        detail: a sentence for people.
    """

    id: str
    use: str = ""
    output: str = ""
    state: str = "waiting"
    done: int = 0
    total: int = 0
    seconds: float | None = None
    keys: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    work: tuple[Path, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RunReading:
    """A run.

    Attributes:
        folder: with run.json and log.txt.
        store: root of the store it belongs to.
        recipe: name of the recipe.
        title: of the recipe.
        preset: of the recipe.
        profile: of the recipe.
        state: ``"running"``, ``"done"``, ``"incomplete"`` (other parts make the rest),
            ``"failed"``, ``"cancelled"`` (somebody asked it to stop) or ``"interrupted"`` (its
            process was killed); all but ``"done"`` go on when it is run again.
        started: time in UTC, as ``20261121T120000.000000Z``.
        finished: the same, empty while it runs.
        stages: in order of the recipe.
        error: code, message, hint and exit_code of what ended it; None if nothing did.
        pulse: what it told last about its progress; None if nothing.
        words: arguments after ``python -m FlareMRCore`` that run it again; empty if it was not
            started from the command line.
    """

    folder: Path
    store: Path
    recipe: str
    title: str
    preset: str
    profile: str
    state: str
    started: str
    finished: str
    stages: tuple[StageReading, ...]
    error: Mapping[str, Any] | None = None
    pulse: Pulse | None = None
    words: tuple[str, ...] = ()

    def stage(self, stage_id: str) -> StageReading | None:
        """The stage of this id; None if there is none."""
        return next((stage for stage in self.stages if stage.id == stage_id), None)

    def making(self, *kinds: str) -> tuple[StageReading, ...]:
        """Stages whose output is of one of these kinds and lies in the store."""
        return tuple(stage for stage in self.stages if stage.output in kinds and stage.folders)


def read_run(folder: Path, *, with_stages: bool = True) -> RunReading:
    """The run in `folder`; its stages are left out, because many take time, unless `with_stages`.

    Raises:
        DatasetError: there is no run, or its record is damaged.
    """
    content = _record(folder)
    if content["state"] == "running" and not is_alive(folder):
        content = _record(folder)  # it may have ended in between
        if content["state"] == "running":
            content["state"] = "interrupted"
    state = content["state"]
    store = ArtifactStore(folder.resolve().parents[1])
    pulse = read_pulse(folder)
    noted = content["stages"]
    plan = content.get("plan") or [{"id": stage_id} for stage_id in noted]
    if not with_stages:
        plan = []
    return RunReading(
        folder=folder,
        store=store.root,
        recipe=content["recipe"],
        title=str(content.get("title", content["recipe"])),
        preset=content["preset"],
        profile=content["profile"],
        state=state,
        started=str(content.get("started", "")),
        finished=str(content.get("finished", "")),
        stages=tuple(_stage(store, p, noted.get(p["id"]), state, pulse) for p in plan),
        error=content.get("error"),
        pulse=pulse if state == "running" else None,
        words=tuple(content.get("words", ())),
    )


def runs_of(store: Path, *, with_stages: bool = True) -> tuple[RunReading, ...]:
    """All runs of a store, newest first; damaged ones are left out. See `read_run`."""
    found = []
    for path in sorted((store / "runs").glob(f"*/{RUN_NAME}"), reverse=True):
        try:
            found.append(read_run(path.parent, with_stages=with_stages))
        except DatasetError:
            continue
    return tuple(found)


def curve_file(stage: StageReading) -> Path | None:
    """The curve of a training: among its resumable state while it runs, then among its notes."""
    from FlareMRCore.training.curves import CURVE_NAME

    places = [folder / NOTES / CURVE_NAME for folder in stage.folders[:1]]
    places += [folder / CURVE_NAME for folder in stage.work[:1]]
    return next((place for place in places if place.is_file()), None)


def stage_curves(stage: StageReading) -> dict[str, list[float]]:
    """Columns of the curve of a training by name, NaN where there is none; empty without one."""
    from FlareMRCore.training.curves import read_curves

    found = curve_file(stage)
    if found is None:
        return {}
    return {name: values.tolist() for name, values in read_curves(found).items()}


def log_tail(folder: Path, lines: int = LOG_LINES) -> str:
    """The last lines of the log of a run; empty if there is none yet."""
    try:
        with (folder / LOG_NAME).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RUN_NAME
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = [content[key] for key in ("recipe", "preset", "profile", "state", "stages")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The run '{folder}' cannot be read ({reason_of(error)}).",
            code="run.record",
            hint="Choose a folder below 'runs' of a store.",
        ) from error
    return content


def _stage(
    store: ArtifactStore,
    plan: Mapping[str, Any],
    noted: Mapping[str, Any] | None,
    run_state: str,
    pulse: Pulse | None,
) -> StageReading:
    """The stage as run.json, the store and the pulse tell it."""
    planned = StageReading(plan["id"], plan.get("use", ""), plan.get("output", ""))
    if noted is None:
        return planned
    keys = tuple(noted["keys"])
    folders = tuple(f for f in map(store.folder_of, keys) if f.is_dir())
    work = tuple(f for f in (store.root / "work" / key for key in keys) if f.is_dir())
    state, detail = _stage_state(store, noted, run_state)
    if state in ("done", "cached") and len(folders) < len(keys):
        state, detail = "stale", "what it made was removed from the store"
    done, total = len(folders), len(keys)
    if state == "running" and pulse is not None and pulse.stage == planned.id:
        done, total = pulse.done, pulse.total
    return replace(
        planned,
        state=state,
        done=done,
        total=total,
        seconds=noted.get("seconds"),
        keys=keys,
        folders=folders,
        work=work,
        detail=detail,
    )


def _stage_state(store: ArtifactStore, noted: Mapping[str, Any], run_state: str) -> tuple[str, str]:
    state = str(noted["state"])
    if state in ENDED or run_state == "running":
        return state, ""
    if run_state != "failed":
        return "interrupted", "run it again to continue"
    failures = [fields for key in noted["keys"] if (fields := store.failure(key))]
    text = str(failures[0].get("message", "")).partition("\n")[0] if failures else ""
    return "failed", text
