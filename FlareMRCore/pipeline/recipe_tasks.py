"""The single pieces of work of a stage, each with the key of what it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.artifacts import (
    RECORD_NAME,
    Artifact,
    artifact_identity,
    artifact_key,
)
from FlareMRCore.pipeline.recipe import DATASET_INPUT, StageSpec
from FlareMRCore.pipeline.recipe_cases import FilePlaces, RecipeCase, case_from_record
from FlareMRCore.pipeline.stage import CASE, CASES, Stage, StageInputs, Surroundings


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What a finished stage hands on: its artifacts, and the cases they hold, if any."""

    artifacts: tuple[Artifact, ...] = ()
    cases: tuple[RecipeCase, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One run of a stage: for all, or for one case.

    Attributes:
        spec: the stage in the recipe.
        stage: its line in the table.
        inputs: what it is given.
        key: of the artifact it makes.
        identity: what the key is made of.
    """

    spec: StageSpec
    stage: Stage
    inputs: StageInputs
    key: str
    identity: Mapping[str, Any]


def stage_tasks(
    spec: StageSpec,
    stage: Stage,
    known: Mapping[str, StageOutcome],
    surroundings: Surroundings,
) -> tuple[Task, ...]:
    """All tasks of a stage, in order of the cases; one task for a stage that takes all at once.

    Args:
        spec: the stage in the recipe.
        stage: its line in the table.
        known: outcome of every input.
        surroundings: what lies outside of the store.

    Raises:
        DatasetError: no case is left by ``where``, or a file outside of the store is missing.
    """
    cases = _input_cases(spec, stage, known)
    folders, digests = _input_folders(spec, stage, known)
    external = stage.external(spec.parameters, surroundings) if stage.external else {}
    groups = [cases]
    if stage.scope == CASE:
        first = next(iter(stage.slots))
        groups = [{**cases, first: (case,)} for case in cases[first]]
    tasks = []
    for group in groups:
        inputs = {slot: [case.digest for case in chosen] for slot, chosen in group.items()}
        given = StageInputs(group, folders)
        attached = stage.attached(given, surroundings) if stage.attached else {}
        hashes = {name: file.sha256 for name, file in attached.items()}
        identity = artifact_identity(
            spec.use, stage.version, spec.parameters, {**digests, **inputs}, {**external, **hashes}
        )
        given = replace(given, attached=attached)
        tasks.append(Task(spec, stage, given, artifact_key(identity), identity))
    return tuple(tasks)


def stage_outcome(tasks: Sequence[Task], artifacts: Sequence[Artifact]) -> StageOutcome:
    """What a stage hands on once all its tasks are done, in order of the tasks.

    Raises:
        DatasetError: an artifact's record names a file that is nowhere.
    """
    cases = [
        case
        for task, artifact in zip(tasks, artifacts, strict=True)
        for case in _artifact_cases(task, artifact)
    ]
    return StageOutcome(tuple(artifacts), tuple(cases))


def _artifact_cases(task: Task, artifact: Artifact) -> tuple[RecipeCase, ...]:
    records = artifact.record["cases"]
    places = {
        file.sha256: file.path
        for cases in task.inputs.cases.values()
        for case in cases
        for file in case.files
    }
    own = artifact.record["outputs"]
    places |= {sha: artifact.folder / name for name, sha in own.items() if name != RECORD_NAME}
    return tuple(case_from_record(record, FilePlaces(places)) for record in records)


def _input_cases(
    spec: StageSpec, stage: Stage, known: Mapping[str, StageOutcome]
) -> dict[str, tuple[RecipeCase, ...]]:
    """Cases by slot; ``where`` applies to the first slot."""
    found: dict[str, tuple[RecipeCase, ...]] = {}
    for number, (slot, names) in enumerate(spec.inputs.items()):
        if stage.slots[slot].kind != CASES:
            continue
        cases = tuple(case for name in names for case in _outcome(known, name).cases)
        if number == 0:
            cases = tuple(case for case in cases if spec.where(case))
        if not cases:
            raise DatasetError(
                f"Stage '{spec.id}': no case of {', '.join(names)} is left for input '{slot}'.",
                code="recipe.no-cases",
                hint="Look at 'where' of this stage and at the cases of the dataset.",
            )
        found[slot] = cases
    return found


def _input_folders(
    spec: StageSpec, stage: Stage, known: Mapping[str, StageOutcome]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Folders and digests of inputs that are no cases, by slot."""
    artifacts = {
        slot: [artifact for name in names for artifact in _outcome(known, name).artifacts]
        for slot, names in spec.inputs.items()
        if stage.slots[slot].kind != CASES
    }
    folders = {slot: tuple(a.folder for a in found) for slot, found in artifacts.items()}
    return folders, {slot: [a.digest for a in found] for slot, found in artifacts.items()}


def _outcome(known: Mapping[str, StageOutcome], name: str) -> StageOutcome:
    if name not in known and name == DATASET_INPUT:
        raise DatasetError(
            "This recipe needs a dataset, and none was given.",
            code="recipe.dataset",
            hint="Give a manifest with --dataset.",
        )
    return known[name]
