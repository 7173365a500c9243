"""A text of the methods of a run, with citations: what its records say, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.artifacts import NOTES
from FlareMRCore.pipeline.citations import Citations, Use, Work, load_citations
from FlareMRCore.pipeline.run_lineage import Record, minutes_of, read_lineage, stage_records
from FlareMRCore.pipeline.run_reading import RunReading, StageReading
from FlareMRCore.pipeline.run_results import StageScores, run_scores
from FlareMRCore.pipeline.text_table import TextTable, number_text


@dataclass(slots=True)
class _References:
    """Numbers works in the order in which they are first cited."""

    works: Mapping[str, Work]
    keys: list[str]

    def mark(self, keys: Iterable[str]) -> str:
        """The citation, e.g. ``" [1, 3]"``; empty for no works."""
        found = list(dict.fromkeys(keys))
        self.keys += [key for key in found if key not in self.keys]
        numbers = sorted(self.keys.index(key) + 1 for key in found)
        return f" [{', '.join(map(str, numbers))}]" if numbers else ""

    def listing(self) -> str:
        """A line for each work."""
        works = [self.works[key] for key in self.keys]
        lines = [
            f"{n}. {work.text}{' ' + work.url if work.url else ''}"
            for n, work in enumerate(works, start=1)
        ]
        return "\n".join(lines)


def methods_text(run: RunReading) -> str:
    """Markdown: what was done in order, with which data and versions, scores, references.

    Raises:
        InputError: no stage of the run has made anything that is still there.
        DatasetError: a record is damaged.
    """
    records = list(read_lineage(run).records.values())
    if not records:
        raise InputError(
            f"The run '{run.folder.name}' has nothing in its store that could be told of.",
            code="run.empty",
            hint="Run the recipe again; what was removed is made again.",
        )
    citations = load_citations()
    references = _References(citations.works, [])
    paragraphs = [
        _opening(run, records, citations, references),
        _data(records),
        _stages(run, citations, references),
        *(_scores(scores) for scores in run_scores(run)),
        _making(records),
    ]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    parts = (
        f"# Methods: {run.title}",
        text,
        "## References",
        references.listing(),
        "## Parameters",
        _parameters(run).markdown().rstrip("\n"),
    )
    return "\n\n".join(parts) + "\n"


def patients_by_kind(cases: Iterable[Record]) -> dict[tuple[str, str], int]:
    """Number of patients by domain and modality, as they first occur among these cases."""
    first: dict[str, tuple[str, str]] = {}
    for case in cases:
        first.setdefault(case["patient"], (case["domain"], case["modality"]))
    return dict(Counter(first.values()))


def counted(count: int, noun: str) -> str:
    """E.g. ``"1 case"``, ``"2 cases"``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def _opening(
    run: RunReading, records: Sequence[Record], citations: Citations, references: _References
) -> str:
    versions = sorted({record["versions"]["FlareMR"] for record in records})
    commits = sorted({record["git_commit"][:10] for record in records if record["git_commit"]})
    marks = references.mark(("flaremr", *citations.of(Use(recipe=run.recipe))))
    commit = f", commit {', '.join(commits)}" if commits else ""
    ended = "" if run.state == "done" else f" The run is not complete: its state is {run.state}."
    return (
        f"The recipe '{run.recipe}' (preset '{run.preset}', profile '{run.profile}') of FlareMR "
        f"{', '.join(versions)}{commit} was run{marks}.{ended}"
    )


def _data(records: Sequence[Record]) -> str:
    kinds = patients_by_kind(case for record in records for case in record["cases"])
    if not kinds:
        return ""
    parts = [
        f"{counted(count, 'patient')} with {modality} ({domain} domain)"
        for (domain, modality), count in sorted(kinds.items(), reverse=True)
    ]
    return f"The cases are of {' and '.join(parts)}."


def _stages(run: RunReading, citations: Citations, references: _References) -> str:
    """A sentence for each finished stage."""
    lines: list[str] = []
    for stage in run.stages:
        records = _records(stage)
        if not records:
            continue
        parameters = records[0]["parameters"]
        use = Use("", records[0]["stage"], parameters, _backends(stage))
        sentence = citations.sentence(records[0]["stage"], parameters)
        mark = references.mark(citations.of(use))
        facts = f"stage {stage.id}, {_inputs(records)}{minutes_of(records):.1f} min"
        lines.append(f"{len(lines) + 1}. {sentence.removesuffix('.')}{mark} ({facts}).")
    return "\n".join(lines)


def _records(stage: StageReading) -> list[Record]:
    return list(stage_records(stage).values())


def _inputs(records: Sequence[Record]) -> str:
    """How many cases a stage took."""
    count = sum(len(record["inputs"].get("cases", ())) for record in records)
    return f"{counted(count, 'case')}, " if count else ""


def _backends(stage: StageReading) -> tuple[str, ...]:
    """Registration packages that the notes of the stage name."""
    found: dict[str, None] = {}
    for folder in stage.folders:
        note = _note(folder / NOTES / "registration.json")
        if "backend" in note:
            found[str(note["backend"])] = None
    return tuple(found)


def _note(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _scores(scores: StageScores) -> str:
    organs = "; ".join(
        f"{organ.organ.replace('_', ' ')} {number_text(organ.dice)}"
        for organ in scores.organs
        if organ.dice is not None
    )
    where = f"stage {scores.stage_id}, convention '{scores.mode}'"
    return (
        f"On {counted(scores.cases, 'case')} ({where}) the mean DSC over the organs was "
        f"{number_text(scores.dice)} and the mean NSD "
        f"{number_text(scores.surface_dice)}. Mean DSC by organ: {organs}."
    )


def _making(records: Sequence[Record]) -> str:
    """Versions, seeds, devices and time."""
    versions = dict(item for record in records for item in record["versions"].items())
    software = ", ".join(f"{name} {found}" for name, found in versions.items() if name != "system")
    seeds = sorted({str(r["seed"]) for r in records if r.get("seed") is not None})
    devices = sorted({str(record["device"]) for record in records})
    processes = max(int(record.get("processes", 1)) for record in records)
    together = f" with up to {processes} processes" if processes > 1 else ""
    seeded = f" Seeds: {', '.join(seeds)}." if seeds else ""
    return (
        f"Everything took {minutes_of(records):.1f} minutes (device: {', '.join(devices)}"
        f"{together}). Versions: {software}.{seeded}"
    )


def _parameters(run: RunReading) -> TextTable:
    rows = [
        (stage.id, records[0]["stage"], str(records[0]["version"]), name, json.dumps(value))
        for stage in run.stages
        if (records := _records(stage))
        for name, value in records[0]["parameters"].items()
    ]
    return TextTable(("stage", "kind", "version", "parameter", "value"), tuple(rows))
