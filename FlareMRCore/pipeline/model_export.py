"""Weights out of the store into a folder, with a card that says where they come from; and files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifacts import NOTES, RECORD_NAME
from FlareMRCore.pipeline.methods_text import counted, patients_by_kind
from FlareMRCore.pipeline.output_paths import require_empty
from FlareMRCore.pipeline.run_lineage import Lineage, Record, minutes_of, read_lineage
from FlareMRCore.pipeline.run_reading import RunReading, StageReading
from FlareMRCore.pipeline.run_results import StageScores, run_scores, scores_table
from FlareMRCore.pipeline.stage import MODEL, NETWORK, PACK, STYLES, TRANSLATOR
from FlareMRCore.weights.models import load_entry_from_path, save_entry
from FlareMRCore.weights.registry import WeightsEntry

CARD_NAME = "MODEL-CARD.md"
TRAINED = (PACK, NETWORK, TRANSLATOR, STYLES)
"""Kinds of what is made of training cases."""


def export_model(run: RunReading, folder: Path, *, stage_id: str = "") -> WeightsEntry:
    """Copy the model of a run and write its card; `weights import FOLDER` takes the folder.

    The description of the weights gets the means of their scores and where they come from.

    Args:
        run: with a finished stage that exports weights.
        folder: new or empty.
        stage_id: which stage, if there are several; empty for the last one.

    Raises:
        UsageError: the run has no such model, or the folder is not empty.
        WeightsError: the description or a file of the model is damaged.
    """
    stage = model_stage(run, stage_id)
    _copy_content(stage.folders[0], folder)
    found, _ = load_entry_from_path(folder)
    entry = replace(found, scores=_means(_own_scores(run, stage)), provenance=_origin(run, stage))
    save_entry(entry, folder)
    write_text_atomically(folder / CARD_NAME, model_card(run, stage, entry))
    return entry


def export_files(run: RunReading, stage_id: str, folder: Path) -> None:
    """Copy what a stage made, for other programs.

    Args:
        run: with this stage.
        stage_id: of a stage that makes one artifact for all cases.
        folder: new or empty.

    Raises:
        UsageError: the stage has not finished, made an artifact for each case, or the folder is
            not empty.
    """
    stage = run.stage(stage_id)
    if stage is None or len(stage.folders) != 1:
        known = [found.id for found in run.stages if len(found.folders) == 1]
        raise UsageError(
            f"Stage '{stage_id}' of the run '{run.folder.name}' has no single result.",
            code="run.no-files",
            hint=f"Stages that have one: {', '.join(known) or 'none yet'}.",
        )
    _copy_content(stage.folders[0], folder)


def _copy_content(source: Path, folder: Path) -> None:
    """Copy the files of an artifact, without its record and notes."""
    require_empty(folder)
    ignored = shutil.ignore_patterns(RECORD_NAME, NOTES)
    shutil.copytree(source, folder, ignore=ignored, dirs_exist_ok=True)


def model_stage(run: RunReading, stage_id: str = "") -> StageReading:
    """The stage that exported weights: the one called `stage_id`, by default the last one.

    Raises:
        UsageError: the run has none.
    """
    stages = [stage for stage in run.making(MODEL) if stage_id in ("", stage.id)]
    if stages:
        return stages[-1]
    wanted = f"stage '{stage_id}'" if stage_id else "a stage that exports weights"
    raise UsageError(
        f"The run '{run.folder.name}' has not finished {wanted}.",
        code="run.no-model",
        hint="Let the recipe run to its end.",
    )


def model_card(run: RunReading, stage: StageReading, entry: WeightsEntry) -> str:
    """Markdown: license, networks, training data, stages, scores of these weights."""
    lineage = read_lineage(run)
    records = lineage.upstream(stage.keys)
    scores = _own_scores(run, stage)
    parts = [
        f"# {entry.title}",
        entry.description,
        _facts(run, entry, records),
        "## Training data",
        _training_data(run, records, lineage),
        "## Training",
        _training(records, _stage_ids(run)),
        "## Scores",
        *([_scored(found) for found in scores] or ["These weights were not scored in this run."]),
        "## Use",
        "Research software, not a medical device. What was not in the training data or the "
        "scores above was not tested.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _own_scores(run: RunReading, stage: StageReading) -> list[StageScores]:
    """Scores of what these weights segmented."""
    lineage = read_lineage(run)
    return [
        scores
        for scores in run_scores(run)
        if any(record["key"] in stage.keys for record in lineage.upstream([scores.key]))
    ]


def _means(scores: Sequence[StageScores]) -> dict[str, Any]:
    """Mean DSC and NSD of the last scores, for the list of weights."""
    if not scores:
        return {}
    last = scores[-1]
    means = {"DSC": last.dice, "NSD": last.surface_dice, "cases": last.cases}
    return {name: value for name, value in means.items() if value is not None}


def _origin(run: RunReading, stage: StageReading) -> dict[str, Any]:
    return {
        "recipe": run.recipe,
        "preset": run.preset,
        "profile": run.profile,
        "artifact": stage.keys[0],
        "card": CARD_NAME,
    }


def _stage_ids(run: RunReading) -> dict[str, str]:
    return {key: stage.id for stage in run.stages for key in stage.keys}


def _facts(run: RunReading, entry: WeightsEntry, records: Sequence[Record]) -> str:
    license_text = f"{entry.license} {entry.license_url}".strip()
    networks = {"coarse": entry.coarse, "fine": entry.fine, "tumor": entry.tumor}
    made = max(record["finished"] for record in records)
    rows = {
        "identifier": f"{entry.id}, version {entry.version}",
        "license": license_text,
        "open license": "yes" if entry.open_license else "no",
        "recipe": f"{run.recipe}, preset {run.preset}, profile {run.profile}",
        "networks": ", ".join(f"{role}: {n.builder}" for role, n in networks.items() if n),
        "made": made[:10],
        "card written": datetime.now().astimezone().date().isoformat(),
        "FlareMR": ", ".join(sorted({record["versions"]["FlareMR"] for record in records})),
        **{f"SHA-256 of {file.name}": file.sha256 for file in entry.files},
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]
    return "\n".join(lines)


def _training_data(run: RunReading, records: Sequence[Record], lineage: Lineage) -> str:
    """Patients whose cases went into a training, and lists of files from outside of the recipe."""
    training = {key for stage in run.stages if stage.output in TRAINED for key in stage.keys}
    used = [record for record in records if record["key"] in training]
    digests = [d for record in used for slot in record["inputs"].values() for d in slot]
    kinds = patients_by_kind(lineage.cases[d] for d in digests if d in lineage.cases)
    lines = [
        f"* {counted(count, 'patient')}, {modality}, {domain} domain"
        for (domain, modality), count in sorted(kinds.items(), reverse=True)
    ]
    others = {d for d in digests if d not in lineage.cases and d not in lineage.makers}
    if others:
        lines.append(f"* {counted(len(others), 'case')} straight from the data set")
    groups = [name for record in used for name in record["external"] if name.startswith("group:")]
    lines += [f"* files of the list '{name.removeprefix('group:')}'" for name in groups]
    return "\n".join(dict.fromkeys(lines)) or "The records name no case."


def _training(records: Sequence[Record], stage_ids: Mapping[str, str]) -> str:
    lines = [
        f"* {stage_ids[record['key']]} ({record['stage']}): {record['duration_s'] / 60:.1f} min"
        for record in records
        if record["key"] in stage_ids
    ]
    total = f"{minutes_of(records):.1f} minutes in all."
    return "\n".join([*lines, "", total])


def _scored(scores: StageScores) -> str:
    head = f"Stage {scores.stage_id}: {counted(scores.cases, 'case')}, convention '{scores.mode}'."
    return f"{head}\n\n{scores_table(scores).markdown()}".rstrip("\n")
