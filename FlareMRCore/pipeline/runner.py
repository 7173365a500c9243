"""Runs a recipe: what is in the store is used, what is missing is made, what was begun goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import Cancelled, FlareMRError, UsageError
from FlareMRCore.events import error_fields
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import Artifact
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.process_team import Team
from FlareMRCore.pipeline.provenance import Making, artifact_record
from FlareMRCore.pipeline.recipe import DATASET_INPUT, Recipe, StageSpec
from FlareMRCore.pipeline.recipe_cases import RecipeCase, dataset_cases
from FlareMRCore.pipeline.recipe_tasks import StageOutcome, Task, stage_outcome, stage_tasks
from FlareMRCore.pipeline.run_log import RunLog, new_run_folder
from FlareMRCore.pipeline.run_pulse import RunReporter, living
from FlareMRCore.pipeline.stage import CASE, Stage, StageContext, Surroundings
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import Reporter


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a recipe runs and how much of it; nothing here changes what comes out.

    Attributes:
        device: as `pick_device` understands.
        threads: processor threads; None for torch's own choice.
        data: folder that patterns of files start from.
        part: (i, K): of stages that run for each case, only every K-th case, starting with the
            i-th; stages that take all cases are left to part 1.
        until: id of the last stage to run; empty for all.
        stages: the table of stages.
        folder: of the run, from `new_run_folder`; None for a new one.
        words: arguments on the command line that run it again, for who looks at the run.
    """

    device: str = "auto"
    threads: int | None = None
    data: Path | None = None
    part: tuple[int, int] = (1, 1)
    until: str = ""
    stages: Mapping[str, Stage] = field(default_factory=lambda: STAGES)
    folder: Path | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        number, count = self.part
        if not 1 <= number <= count:
            raise UsageError(
                f"Part {number}/{count} does not exist.",
                code="usage.part",
                hint="Give --part 1/4 for the first of four.",
            )


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    Attributes:
        folder: of the run, with run.json and log.txt.
        outcomes: of each finished stage, by id.
        missing: artifacts that the first unfinished stage still lacks, because other parts make
            them; 0 if everything is done.
    """

    folder: Path
    outcomes: Mapping[str, StageOutcome]
    missing: int = 0


@dataclass(frozen=True, slots=True)
class _StageReporter:
    """Passes the progress of a stage on under its id; of a case only the chance to stop."""

    reporter: Reporter
    log: RunLog
    stage_id: str
    position: tuple[int, int] | None = None

    def advance(self, stage: str, done: int, total: int) -> None:
        self.reporter.advance(self.stage_id, *(self.position or (done, total)))

    def message(self, text: str, *, level: str = "info") -> None:
        self.log.line(f"{self.stage_id}: {level}: {text}")
        self.reporter.message(f"{self.stage_id}: {text}", level=level)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all stages of one run share."""

    recipe: Recipe
    store: ArtifactStore
    reporter: Reporter
    options: RunOptions
    log: RunLog


def run_recipe(
    recipe: Recipe,
    dataset: Dataset | None,
    store: ArtifactStore,
    reporter: Reporter,
    options: RunOptions | None = None,
) -> RunResult:
    """Run all stages in order; run it again to continue after an interruption.

    Args:
        recipe: from `load_recipe`.
        dataset: the cases that ``input = "dataset"`` means; None if the recipe has none.
        store: where artifacts are found and put.
        reporter: told about progress; cancelling leaves the store complete.
        options: device, threads, part.

    Raises:
        FlareMRError: of the stage that failed; what was finished stays in the store.
    """
    options = options or RunOptions()
    _require_stage(recipe, options.until)
    folder = options.folder or new_run_folder(store, recipe.name)
    with living(folder):  # before there is a record that says it runs
        log = RunLog.begin(folder, recipe, options.stages, words=options.words)
        run = _Run(recipe, store, RunReporter(reporter, folder), options, log)
        return _run_logged(run, dataset)


def _run_logged(run: _Run, dataset: Dataset | None) -> RunResult:
    """Run all stages and note how that ended."""
    digests = FileDigests(run.store.root / "digests.json")
    try:
        result = _run_stages(run, known_inputs(dataset, digests), digests)
    except Cancelled:
        run.log.end("cancelled")
        raise
    except BaseException as error:
        run.log.end("failed", error=failure_fields(error))
        run.log.line(f"failed: {error}")
        raise
    finally:
        digests.save()
    run.log.end("incomplete" if result.missing else "done")
    return result


def known_inputs(dataset: Dataset | None, digests: FileDigests) -> dict[str, StageOutcome]:
    """What is known before the first stage: the cases of the dataset, if there is one."""
    if dataset is None:
        return {}
    return {DATASET_INPUT: StageOutcome(cases=dataset_cases(dataset, digests))}


def failure_fields(error: BaseException) -> dict[str, object]:
    """Fields of an error event, for errors of any kind."""
    if isinstance(error, FlareMRError):
        return error_fields(error)
    return error_fields(FlareMRError(f"{type(error).__name__}: {error}"))


def _run_stages(run: _Run, known: dict[str, StageOutcome], digests: FileDigests) -> RunResult:
    surroundings = Surroundings(digests.of, run.options.data, run.store.root)
    digests.save()  # others look up the files of the dataset while this runs
    outcomes: dict[str, StageOutcome] = {}
    for spec in run.recipe.stages:
        stage = run.options.stages[spec.use]
        tasks = stage_tasks(spec, stage, known, surroundings)
        artifacts = _run_stage(run, spec, tasks)
        missing = sum(artifact is None for artifact in artifacts)
        if missing:
            run.reporter.message(
                f"{spec.id}: {missing} of {len(tasks)} are left to other parts; "
                "run this again when those are done."
            )
            return RunResult(run.log.folder, outcomes, missing)
        known[spec.id] = stage_outcome(tasks, [a for a in artifacts if a is not None])
        outcomes[spec.id] = known[spec.id]
        if spec.id == run.options.until:
            break
    return RunResult(run.log.folder, outcomes)


def _run_stage(run: _Run, spec: StageSpec, tasks: tuple[Task, ...]) -> list[Artifact | None]:
    """Artifact of each task, or None where it is left to another part."""
    keys = [task.key for task in tasks]
    run.log.stage(spec.id, keys, "running")
    artifacts: list[Artifact | None] = []
    made = 0
    started = time.perf_counter()
    for number, task in enumerate(tasks):
        position = (number, len(tasks)) if task.stage.scope == CASE else None
        reporter = _StageReporter(run.reporter, run.log, spec.id, position)
        reporter.advance(spec.id, number, len(tasks))
        artifact = run.store.find(task.key)
        if artifact is None and _is_ours(task, number, run.options.part):
            artifact = _execute(run, task, reporter)
            made += 1
        artifacts.append(artifact)
    run.reporter.advance(spec.id, len(tasks), len(tasks))
    state = "incomplete" if None in artifacts else "done" if made else "cached"
    seconds = round(time.perf_counter() - started, 3)
    run.log.stage(spec.id, keys, state, made=made, seconds=seconds)
    run.log.line(f"{spec.id}: {state}, {made} of {len(tasks)} made in {seconds} s")
    return artifacts


def _is_ours(task: Task, number: int, part: tuple[int, int]) -> bool:
    index, count = part
    return number % count == index - 1 if task.stage.scope == CASE else index == 1


def _execute(run: _Run, task: Task, reporter: Reporter) -> Artifact:
    try:
        with run.store.working(task.key, exclusive=task.stage.resumable) as work:
            artifact = _make(run, task, work, reporter)
    except Cancelled:
        raise
    except BaseException as error:
        run.store.note_failure(task.key, failure_fields(error))
        raise
    run.store.clear_work(task.key)
    return artifact


def _make(run: _Run, task: Task, work: Path, reporter: Reporter) -> Artifact:
    started = time.perf_counter()
    options = run.options
    with run.store.writing() as folder:
        context = StageContext(
            folder, work, reporter, options.device, options.threads, options.data
        )
        cases = _run_function(task, context)
        making = Making(
            run.recipe.label,
            task.spec.id,
            options.device,
            options.threads,
            time.perf_counter() - started,
            Team.from_environment().count if task.stage.common else 1,
        )
        # Of the first slot only: with all references of every case records would fill the store.
        given = next(iter(task.inputs.cases.values()), ())
        record = artifact_record(task.key, task.identity, folder, cases, making, given)
        return run.store.publish(task.key, folder, record)


def _run_function(task: Task, context: StageContext) -> tuple[RecipeCase, ...]:
    """Run the stage; together with the other processes of torchrun if it trains."""
    team = Team.from_environment() if task.stage.common else Team()
    team.begin(context.work)
    cases = task.stage.run(task.inputs, task.spec.parameters, context)
    team.wait_for_others(context.work, context.reporter)
    return cases


def _require_stage(recipe: Recipe, stage_id: str) -> None:
    ids = [spec.id for spec in recipe.stages]
    if stage_id and stage_id not in ids:
        raise UsageError(
            f"Recipe '{recipe.name}' has no stage '{stage_id}'. Known: {', '.join(ids)}.",
            code="usage.stage",
        )
