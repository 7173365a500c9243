"""What the other processes of torchrun do with a recipe: wait for artifacts, join trainings."""

from __future__ import annotations

from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import Artifact
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.process_team import Team, wait_a_moment
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_tasks import Task, stage_outcome, stage_tasks
from FlareMRCore.pipeline.runner import RunOptions, known_inputs
from FlareMRCore.pipeline.stage import StageContext, Surroundings
from FlareMRCore.progress import Reporter


def follow_recipe(
    recipe: Recipe,
    dataset: Dataset | None,
    store: ArtifactStore,
    reporter: Reporter,
    options: RunOptions,
) -> None:
    """Go through the stages beside the leading process, which runs `run_recipe` with the same.

    Nothing is published here: of a common training only the leader's files are kept.

    Args:
        recipe: from `load_recipe`.
        dataset: cases, or None if the recipe has none.
        store: on a file system that all processes see.
        reporter: asked whether to stop; of the progress the leader tells.
        options: as the leader has them.

    Raises:
        UsageError: the run is only a part, whose rest nobody here would make.
        FlareMRError: of the stage that failed.
    """
    if options.part != (1, 1):
        raise UsageError(
            "A part of a run is made by one process alone.",
            code="usage.part",
            hint="Leave out --part, or start it without torchrun.",
        )
    digests = FileDigests(store.root / "digests.json")
    surroundings = Surroundings(digests.of, options.data, store.root)
    known = known_inputs(dataset, digests)
    for spec in recipe.stages:
        stage = options.stages[spec.use]
        tasks = stage_tasks(spec, stage, known, surroundings)
        artifacts = [_awaited(task, store, reporter, options) for task in tasks]
        known[spec.id] = stage_outcome(tasks, artifacts)
        if spec.id == options.until:
            return


def _awaited(task: Task, store: ArtifactStore, reporter: Reporter, options: RunOptions) -> Artifact:
    """The artifact of the task, which the leader makes; alone or together with this process."""
    if store.find(task.key) is None and task.stage.common:
        work = store.work_folder(task.key)
        with store.writing() as folder:
            context = StageContext(
                folder, work, reporter, options.device, options.threads, options.data
            )
            task.stage.run(task.inputs, task.spec.parameters, context)
        Team.from_environment().leave(work)
    while (artifact := store.find(task.key)) is None:
        wait_a_moment(reporter)
    return artifact
