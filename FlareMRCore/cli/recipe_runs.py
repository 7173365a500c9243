"""Steps of the verb `recipe` about runs: run, start, resume, stop, runs, status."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.cli.recipe_show import chosen_recipe, tell
from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.following import follow_recipe
from FlareMRCore.pipeline.process_team import Team
from FlareMRCore.pipeline.recipe import Recipe, recipe_path
from FlareMRCore.pipeline.run_log import RUN_NAME, new_run_folder
from FlareMRCore.pipeline.run_reading import RunReading, log_tail, read_run, runs_of
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.pipeline.stage import MODEL, SCORES
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import SilentReporter


def _dataset(arguments: argparse.Namespace) -> Dataset | None:
    from FlareMRCore.data.dataset_manifest import load_dataset

    return load_dataset(arguments.dataset) if arguments.dataset else None


def _run(arguments: argparse.Namespace) -> None:
    recipe = chosen_recipe(arguments)
    options = RunOptions(
        device=arguments.device,
        threads=arguments.threads,
        data=arguments.data,
        part=arguments.part,
        until=arguments.until,
        folder=arguments.run_folder,
        words=run_words(arguments),
    )
    store = ArtifactStore(arguments.store)
    if not Team.from_environment().leads:
        silent = SilentReporter(arguments.is_cancelled)
        follow_recipe(recipe, _dataset(arguments), store, silent, options)
        return
    reporter = job_reporter(arguments)
    result = run_recipe(recipe, _dataset(arguments), store, reporter, options)
    made = _results(recipe, result)
    if arguments.output and made:
        _copy(made, arguments.output)
    reporter.result({"run": result.folder, "missing": result.missing, "results": made})
    if arguments.json_progress:
        return
    for stage_id, folder in made.items():
        write_line(f"{stage_id}: {folder}")
    write_line(f"Run: {result.folder}")


def run_words(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Words that run the same again from any folder."""
    is_file = arguments.recipe.endswith(".toml")
    recipe = str(recipe_path(arguments.recipe).resolve()) if is_file else arguments.recipe
    words = ["recipe", "run", recipe, "--preset", arguments.preset, "--profile", arguments.profile]
    words += ["--store", str(arguments.store.resolve()), "--device", arguments.device]
    for option in ("dataset", "data", "output"):
        path = getattr(arguments, option)
        words += [f"--{option}", str(path.resolve())] if path else []
    words += ["--threads", str(arguments.threads)] if arguments.threads else []
    words += ["--until", arguments.until] if arguments.until else []
    words += ["--part", "/".join(map(str, arguments.part))] if arguments.part != (1, 1) else []
    return tuple(words)


def _start(arguments: argparse.Namespace) -> None:
    recipe = chosen_recipe(arguments)  # mistakes are told here, not in the file of the process
    _dataset(arguments)
    _launch(arguments, arguments.store, recipe.name, run_words(arguments))


def _resume(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.run_start import require_ended

    run = read_run(arguments.run)
    require_ended(arguments.run)
    if not run.words:
        raise UsageError(
            f"The run '{arguments.run}' does not say how it was started.",
            code="run.words",
            hint="Give its recipe and data to 'recipe start' again; what is done is kept.",
        )
    _launch(arguments, run.store, run.recipe, run.words)


def _launch(arguments: argparse.Namespace, store: Path, name: str, words: tuple[str, ...]) -> None:
    from FlareMRCore.pipeline.run_start import start_detached

    folder = new_run_folder(ArtifactStore(store.resolve()), name)
    pid = start_detached((*words, "--run-folder", str(folder)), folder)
    if not tell(arguments, {"run": folder, "pid": pid}):
        write_line(f"Run: {folder}\nProcess: {pid}. It goes on when this terminal is closed.")


def _stop(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.run_start import stop_run

    ended = stop_run(arguments.run, wait_s=arguments.wait)
    if not tell(arguments, {"run": arguments.run.resolve(), "ended": ended}):
        write_line("Ended." if ended else "Asked to stop; it saves its state first.")


def _results(recipe: Recipe, result: RunResult) -> dict[str, Path]:
    """Folders of models and scores by id of their stage."""
    return {
        spec.id: result.outcomes[spec.id].artifacts[0].folder
        for spec in recipe.stages
        if spec.id in result.outcomes and STAGES[spec.use].output in (MODEL, SCORES)
    }


def _copy(made: dict[str, Path], output: Path) -> None:
    for stage_id, folder in made.items():
        target = output / stage_id
        if target.exists() and not (target / "artifact.json").is_file():
            raise UsageError(
                f"'{target}' exists and is not from a recipe.",
                code="output.exists",
                hint="Choose another folder with -o.",
            )
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)


def _runs(arguments: argparse.Namespace) -> None:
    runs = runs_of(arguments.store)
    if tell(arguments, {"runs": [asdict(run) for run in runs]}):
        return
    if not runs:
        write_line(f"The store '{arguments.store}' has no runs.")
        return
    rows = [[r.started[:15], r.recipe, r.preset, r.profile, r.state, str(r.folder)] for r in runs]
    write_line(format_table(("started", "recipe", "preset", "profile", "state", "folder"), rows))


def _status(arguments: argparse.Namespace) -> None:
    if (Path(arguments.recipe) / RUN_NAME).is_file():
        _run_status(arguments, read_run(Path(arguments.recipe)))
        return
    from FlareMRCore.pipeline.recipe_status import recipe_status

    recipe = chosen_recipe(arguments)
    options = RunOptions(data=arguments.data)
    store = ArtifactStore(arguments.store)
    stages = recipe_status(recipe, _dataset(arguments), store, options)
    if not tell(arguments, {"stages": [asdict(stage) for stage in stages]}):
        rows = [[s.id, s.use, s.state, f"{s.done}/{s.total}", s.detail] for s in stages]
        write_line(format_table(("stage", "kind", "state", "done", ""), rows))


def _run_status(arguments: argparse.Namespace, run: RunReading) -> None:
    content: dict[str, Any] = {**asdict(run), "log": log_tail(run.folder)}
    if tell(arguments, content):
        return
    rows = [[s.id, s.use, s.state, f"{s.done}/{s.total}", s.detail] for s in run.stages]
    write_line(f"{run.title} ({run.recipe} {run.preset} {run.profile}): {run.state}")
    write_line(format_table(("stage", "kind", "state", "done", ""), rows))
    pulse = run.pulse
    if pulse is not None and pulse.seconds_left is not None:
        rate = f"{pulse.per_minute:.1f} a minute, " if pulse.per_minute else ""
        write_line(f"{pulse.stage}: {rate}about {pulse.seconds_left:.0f} s left")
    if run.error is not None:
        write_line(f"{run.error.get('message', '')} {run.error.get('hint', '')}".strip())


RUN_STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "run": _run,
    "start": _start,
    "resume": _resume,
    "stop": _stop,
    "runs": _runs,
    "status": _status,
}
