"""Which label maps of a run can be reviewed: those that a network, or people, made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import digest_of
from FlareMRCore.pipeline.case_labels import OWN_LABELS
from FlareMRCore.pipeline.recipe_cases import RecipeCase, case_from_record
from FlareMRCore.pipeline.run_reading import RunReading, StageReading, read_run, runs_of
from FlareMRCore.pipeline.stored_files import case_hashes, find_files, record_of

APPLY = "apply-review"


@dataclass(frozen=True, slots=True)
class Subject:
    """A pseudo-label that can be reviewed.

    Attributes:
        case: with its image and label map.
        stage_id: stage of the recipe that made it.
        artifact: folder of the artifact.
    """

    case: RecipeCase
    stage_id: str
    artifact: Path


def find_run(store: ArtifactStore, run: Path | None = None) -> RunReading:
    """The run in the folder `run`; without it the newest that has pseudo-labels to review.

    Raises:
        DatasetError: there is none.
    """
    if run is not None:
        return read_run(run)
    for found in runs_of(store.root):
        if reviewable_stages(found):
            return found
    raise DatasetError(
        f"No run in the store '{store.root}' has pseudo-labels.",
        code="review.no-labels",
        hint="Run a recipe up to its pseudo-labels first, or give another store.",
    )


def reviewable_stages(run: RunReading) -> tuple[str, ...]:
    """Ids of the stages of `run` that made pseudo-labels, in order of the recipe."""
    return tuple(
        stage.id
        for stage in run.stages
        if stage.use != APPLY and any(_is_pseudo(c) for r in _records(stage) for c in r["cases"])
    )


def default_stage(run: RunReading) -> str:
    """The stage whose pseudo-labels the last review of the recipe takes, or the last one of all.

    Raises:
        DatasetError: no stage has made pseudo-labels yet.
    """
    known = reviewable_stages(run)
    if not known:
        raise DatasetError(
            f"The run '{run.folder.name}' has made no pseudo-labels yet.",
            code="review.no-labels",
            hint="Wait until the stage that segments is done.",
        )
    uses = [stage.use for stage in run.stages if stage.folders]
    if APPLY not in uses:
        return known[-1]
    wanted, last = _reviewed_cases(run), _last_review(run)
    ids = [stage.id for stage in run.stages]
    for stage_id in reversed([name for name in known if ids.index(name) < ids.index(last)]):
        cases = (case for record in _records(run.stage(stage_id)) for case in record["cases"])
        if any(digest_of(case) in wanted for case in cases):
            return stage_id
    return known[-1]


def subjects(run: RunReading, stage_id: str = "") -> tuple[Subject, ...]:
    """What can be reviewed of a stage, by default of `default_stage`, in order of the cases.

    Raises:
        UsageError: no such stage, or it made no pseudo-labels.
        DatasetError: an image or a label map is nowhere.
    """
    stage_id = stage_id or default_stage(run)
    stage = run.stage(stage_id)
    if stage is None or stage_id not in reviewable_stages(run):
        known = ", ".join(reviewable_stages(run)) or "none"
        raise UsageError(
            f"Stage '{stage_id}' has no pseudo-labels. Stages that have: {known}.",
            code="usage.stage",
        )
    found = [
        (record, folder)
        for folder in stage.folders
        for record in record_of(folder)["cases"]
        if _is_pseudo(record)
    ]
    wanted = {sha256 for record, _ in found for sha256 in case_hashes(record)}
    places = find_files(ArtifactStore(run.store), wanted)
    return tuple(
        Subject(case_from_record(record, places), stage_id, folder) for record, folder in found
    )


def subject_of(run: RunReading, case_id: str, stage_id: str = "") -> Subject:
    """The pseudo-label of one case.

    Raises:
        UsageError: the stage has none for this case.
    """
    known = subjects(run, stage_id)
    for subject in known:
        if subject.case.case_id == case_id:
            return subject
    raise UsageError(
        f"There is no pseudo-label of case '{case_id}' to review.",
        code="usage.case",
        hint=f"Known: {', '.join(s.case.case_id for s in known[:10])}.",
    )


def _records(stage: StageReading | None) -> Iterator[Mapping[str, Any]]:
    return (record_of(folder) for folder in (stage.folders if stage else ()))


def _is_pseudo(case: Mapping[str, Any]) -> bool:
    return bool(case["label_map"]) and case["label_source"] in OWN_LABELS


def _last_review(run: RunReading) -> str:
    """Id of the last stage that honors reviews and was reached."""
    return [stage.id for stage in run.stages if stage.use == APPLY and stage.folders][-1]


def _reviewed_cases(run: RunReading) -> set[str]:
    """Digests of the cases that this stage was given."""
    records = _records(run.stage(_last_review(run)))
    return {digest for record in records for slot in record["inputs"].values() for digest in slot}
