"""What a run has to show: fake MR beside CT, pseudo-labels, registrations, reports of filters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import NOTES
from FlareMRCore.pipeline.case_labels import OWN_LABELS
from FlareMRCore.pipeline.filter_report import FILTER_NAME, FilterReport, read_filter_report
from FlareMRCore.pipeline.recipe_cases import FilePlaces
from FlareMRCore.pipeline.run_reading import RunReading, StageReading
from FlareMRCore.pipeline.stored_files import find_files, record_of

FAKE, LABELS, REGISTRATION = "fake", "labels", "registration"
KINDS = (FAKE, LABELS, REGISTRATION)
TRANSLATE, REGISTER = "translate-style", "register"
REGISTRATION_NOTE = "registration.json"


@dataclass(frozen=True, slots=True)
class Sight:
    """Images of one case that belong together, all on one grid.

    Attributes:
        kind: `FAKE`: a source image and its translation; `LABELS`: an image with labels that a
            model made; `REGISTRATION`: the fixed image and the warped one.
        stage_id: stage of the recipe that made it.
        case_id: case of that stage's output.
        sequence: name of the first image of the case.
        background: source image, image under the labels, or fixed image.
        foreground: translation or warped image; None for labels.
        labels: label map on the same grid; None if the case has none.
        finished: when it was made, local time, ISO 8601.
        note: a sentence about it; may be empty.
    """

    kind: str
    stage_id: str
    case_id: str
    sequence: str
    background: Path
    foreground: Path | None = None
    labels: Path | None = None
    finished: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """What one filter of pseudo-labels did.

    Attributes:
        stage_id: stage of the recipe.
        filter: name of the filter.
        sequences: name, kept and rejected cases of each sequence.
        organs: id, passed and failed tests of each organ, and the rules it failed most often.
        cases: id, sequence, whether its labels are kept, and why.
    """

    stage_id: str
    filter: str
    sequences: tuple[tuple[str, int, int], ...]
    organs: tuple[tuple[str, int, int, str], ...]
    cases: tuple[tuple[str, str, bool, str], ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A sight whose files are known by their hashes only."""

    kind: str
    stage_id: str
    case: Mapping[str, Any]
    background: str
    foreground: str
    labels: str
    finished: str
    note: str = ""

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(sha for sha in (self.background, self.foreground, self.labels) if sha)


def sights(run: RunReading) -> tuple[Sight, ...]:
    """Everything that `run` has to show, the latest first; what has lost a file is left out.

    Raises:
        DatasetError: the record of an artifact is damaged.
    """
    found = [sight for stage in run.stages for sight in _of_stage(stage)]
    wanted = {sha256 for sight in found for sha256 in sight.hashes}
    places = find_files(ArtifactStore(run.store), wanted)
    known = [s for s in found if all(sha256 in places.by_sha256 for sha256 in s.hashes)]
    known.sort(key=lambda sight: sight.finished, reverse=True)
    return tuple(_sight(sight, places) for sight in known)


def filter_summaries(run: RunReading) -> tuple[FilterSummary, ...]:
    """What each filter of `run` kept and rejected, in order of the recipe.

    Raises:
        DatasetError: a report is damaged.
    """
    return tuple(
        summarize_filter(stage.id, read_filter_report(folder))
        for stage in run.stages
        for folder in stage.folders
        if (folder / FILTER_NAME).is_file()
    )


def summarize_filter(stage_id: str, report: FilterReport) -> FilterSummary:
    """The report by sequence, by organ and by case."""
    findings = [finding for case in report.cases for finding in case.findings]
    organs = dict.fromkeys(finding.organ for finding in findings)
    return FilterSummary(
        stage_id,
        report.filter,
        tuple((name, *counts) for name, counts in report.by_sequence().items()),
        tuple(
            (
                organ or "all",
                sum(f.kept for f in findings if f.organ == organ),
                sum(not f.kept for f in findings if f.organ == organ),
                _rules(f.rule for f in findings if f.organ == organ and not f.kept),
            )
            for organ in organs
        ),
        tuple((case.case_id, case.sequence, case.kept, case.reason) for case in report.cases),
    )


def _rules(names: Iterator[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in Counter(names).most_common())


def _of_stage(stage: StageReading) -> Iterator[_Found]:
    for folder in stage.folders:
        record = record_of(folder)
        if stage.use == TRANSLATE:
            yield from _fakes(stage.id, record)
        elif stage.use == REGISTER:
            yield from _registered(stage.id, record, folder)
        else:
            yield from _labeled(stage.id, record)


def _fakes(stage_id: str, record: Mapping[str, Any]) -> Iterator[_Found]:
    """Each translation beside the image it was made of; both have the labels of the case."""
    origin = record.get("made_of", ())  # artifacts of older versions do not tell
    for case in record["cases"]:
        if origin:
            images = _image(origin[0]), _image(case), case["label_map"] or ""
            yield _Found(FAKE, stage_id, case, *images, record["finished"])


def _registered(stage_id: str, record: Mapping[str, Any], folder: Path) -> Iterator[_Found]:
    path = folder / NOTES / REGISTRATION_NOTE
    if not path.is_file():
        return
    note = json.loads(path.read_text(encoding="utf-8"))
    for case in record["cases"]:
        if "fixed_image" in note:
            images = note["fixed_image"], _image(case), case["label_map"] or ""
            words = _registration_text(note)
            yield _Found(REGISTRATION, stage_id, case, *images, record["finished"], words)


def _registration_text(note: Mapping[str, Any]) -> str:
    how = f"{note['method']} ({note['backend']})"
    before, after = note["similarity_before"], note["similarity_after"]
    if before is None or after is None:  # not a number, as of images without contrast
        return f"{how}."
    return f"{how}: similarity {before:.3f} before, {after:.3f} after."


def _labeled(stage_id: str, record: Mapping[str, Any]) -> Iterator[_Found]:
    """Cases whose label map this very stage made."""
    own = set(record["outputs"].values())
    for case in record["cases"]:
        if case["label_source"] in OWN_LABELS and case["label_map"] in own:
            yield _Found(
                LABELS, stage_id, case, _image(case), "", case["label_map"], record["finished"]
            )


def _image(case: Mapping[str, Any]) -> str:
    return str(case["images"][0][1])


def _sight(found: _Found, places: FilePlaces) -> Sight:
    where = places.by_sha256
    return Sight(
        found.kind,
        found.stage_id,
        found.case["id"],
        found.case["images"][0][0],
        where[found.background],
        where.get(found.foreground),
        where.get(found.labels),
        found.finished,
        found.note,
    )
