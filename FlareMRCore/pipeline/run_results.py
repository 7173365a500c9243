"""Scores of runs: tables of one run, and the ablation table over several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from FlareMRCore.errors import DatasetError, InputError, reason_of
from FlareMRCore.imaging.metrics import Mode
from FlareMRCore.pipeline.run_lineage import Lineage, minutes_of, read_lineage
from FlareMRCore.pipeline.run_reading import RunReading, StageReading
from FlareMRCore.pipeline.stage import SCORES
from FlareMRCore.pipeline.stages_results import SUMMARY_NAME
from FlareMRCore.pipeline.text_table import TextTable, number_text

LONGEST_CHANGE = 60
"""Characters of a parameter's value in the ablation table."""


@dataclass(frozen=True, slots=True)
class OrganMeans:
    """Means and standard deviations over cases of one organ; None where nothing is defined."""

    organ: str
    cases: int
    dice: float | None
    dice_std: float | None
    surface_dice: float | None
    surface_dice_std: float | None
    hausdorff_95_mm: float | None


@dataclass(frozen=True, slots=True)
class StageScores:
    """What one `evaluate` stage of a run found.

    Attributes:
        stage_id: of the stage in the recipe.
        key: of its artifact.
        folder: of its artifact, with scores.csv.
        mode: convention of the scores.
        cases: how many were scored.
        organs: in order of their label values.
        dice: mean of the organ means.
        surface_dice: mean of the organ means.
    """

    stage_id: str
    key: str
    folder: Path
    mode: str
    cases: int
    organs: tuple[OrganMeans, ...]
    dice: float | None
    surface_dice: float | None


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One `evaluate` stage of one run.

    Attributes:
        run: name of the run's folder.
        recipe: its name.
        preset: of the recipe.
        profile: of the recipe.
        scores: of the stage.
        minutes: that making everything these scores depend on took.
        parameters: of all stages that these scores depend on, by ``stage.parameter``.
        changes: those of them in which runs of one recipe, preset and profile differ.
    """

    run: str
    recipe: str
    preset: str
    profile: str
    scores: StageScores
    minutes: float
    parameters: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()


def run_scores(run: RunReading, mode: Mode = "standard") -> tuple[StageScores, ...]:
    """Scores of every finished `evaluate` stage that has this convention, in order.

    Raises:
        DatasetError: a summary is damaged.
    """
    found = (_stage_scores(stage, mode) for stage in run.making(SCORES))
    return tuple(scores for scores in found if scores is not None)


def scores_table(scores: StageScores) -> TextTable:
    """A row for each organ and one for the mean."""
    header = ("organ", "cases", "DSC", "DSC std", "NSD", "NSD std", "HD95 mm")
    rows = [
        (
            organ.organ,
            str(organ.cases),
            number_text(organ.dice),
            number_text(organ.dice_std),
            number_text(organ.surface_dice),
            number_text(organ.surface_dice_std),
            number_text(organ.hausdorff_95_mm, 1),
        )
        for organ in scores.organs
    ]
    means = (number_text(scores.dice), "", number_text(scores.surface_dice), "", "")
    return TextTable(header, (*rows, ("mean", str(scores.cases), *means)))


def ablation_rows(runs: Sequence[RunReading], mode: Mode = "standard") -> tuple[AblationRow, ...]:
    """A row for each `evaluate` stage of each run, oldest run first.

    Runs that used the very same scores give one row: only the first counts.

    Raises:
        InputError: no run has scores.
        DatasetError: a record is damaged.
    """
    rows: dict[str, AblationRow] = {}
    for run in sorted(runs, key=lambda run: run.started):
        lineage = read_lineage(run)
        for scores in run_scores(run, mode):
            rows.setdefault(scores.key, _ablation_row(run, scores, lineage))
    if not rows:
        raise InputError(
            f"None of {len(runs)} runs has scores of the convention '{mode}'.",
            code="run.no-scores",
            hint="Run a recipe up to a stage 'evaluate' first.",
        )
    return tuple(_with_changes(list(rows.values())))


def ablation_table(rows: Sequence[AblationRow]) -> TextTable:
    """Runs and what distinguishes them, mean DSC of each organ, mean DSC and NSD, minutes."""
    organs = tuple(dict.fromkeys(o.organ for row in rows for o in row.scores.organs))
    header = ("recipe", "preset", "profile", "scores", "changes", "cases", *organs)
    return TextTable(
        (*header, "mean DSC", "mean NSD", "minutes"),
        tuple(_ablation_cells(row, organs) for row in rows),
    )


def _ablation_cells(row: AblationRow, organs: tuple[str, ...]) -> tuple[str, ...]:
    means = {organ.organ: organ.dice for organ in row.scores.organs}
    return (
        row.recipe,
        row.preset,
        row.profile,
        row.scores.stage_id,
        "; ".join(row.changes),
        str(row.scores.cases),
        *(number_text(means.get(organ)) for organ in organs),
        number_text(row.scores.dice),
        number_text(row.scores.surface_dice),
        number_text(row.minutes, 1),
    )


def _stage_scores(stage: StageReading, mode: Mode) -> StageScores | None:
    """Scores of a stage; None if it is no `evaluate`, or was not asked for this convention."""
    folder = stage.folders[0]
    path = folder / SUMMARY_NAME
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text(encoding="utf-8")).get(mode)
        return None if summary is None else _from_summary(stage.id, folder, mode, summary)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The scores '{path}' cannot be read ({reason_of(error)}).",
            code="store.scores",
            hint="Remove that folder and run the recipe again.",
        ) from error


def _from_summary(
    stage_id: str, folder: Path, mode: Mode, summary: Mapping[str, Any]
) -> StageScores:
    organs = tuple(
        OrganMeans(
            organ["organ"],
            organ["dice"]["count"],
            organ["dice"]["mean"],
            organ["dice"]["std"],
            organ["surface_dice"]["mean"],
            organ["surface_dice"]["std"],
            organ["hausdorff_95_mm"]["mean"],
        )
        for organ in summary["organs"]
    )
    return StageScores(
        stage_id,
        folder.name,
        folder,
        mode,
        summary["cases"],
        organs,
        summary["dice"]["mean"],
        summary["surface_dice"]["mean"],
    )


def _ablation_row(run: RunReading, scores: StageScores, lineage: Lineage) -> AblationRow:
    records = lineage.upstream([scores.key])
    stage_ids = {key: stage.id for stage in run.stages for key in stage.keys}
    parameters = {
        f"{stage_ids[record['key']]}.{name}": json.dumps(value)
        for record in records
        for name, value in record["parameters"].items()
    }
    return AblationRow(
        run.folder.name,
        run.recipe,
        run.preset,
        run.profile,
        scores,
        minutes_of(records),
        parameters,
    )


def _with_changes(rows: list[AblationRow]) -> list[AblationRow]:
    groups: dict[tuple[str, ...], list[AblationRow]] = {}
    for row in rows:
        group = (row.recipe, row.preset, row.profile, row.scores.stage_id)
        groups.setdefault(group, []).append(row)
    changed = {id(row): _changes(row, group) for group in groups.values() for row in group}
    return [replace(row, changes=changed[id(row)]) for row in rows]


def _changes(row: AblationRow, group: Sequence[AblationRow]) -> tuple[str, ...]:
    names = dict.fromkeys(name for other in group for name in other.parameters)
    different = [n for n in names if len({other.parameters.get(n) for other in group}) > 1]
    return tuple(
        f"{name} = {_shortened(row.parameters[name])}" if name in row.parameters else f"no {name}"
        for name in different
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CHANGE else text[: LONGEST_CHANGE - 3] + "..."
