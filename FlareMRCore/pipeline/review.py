"""The review queue: pseudo-labels of a stage, most doubtful first, and what was decided."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.pseudo_label_filters import Objection
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.filter_report import FILTER_NAME, Finding, read_filter_report
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.review_decisions import (
    CORRECT,
    UNDO,
    Decision,
    Entry,
    add_decision,
    entries_of,
    labels_file,
    standing,
    store_labels,
)
from FlareMRCore.pipeline.review_doubt import Doubt, doubt_of
from FlareMRCore.pipeline.review_subjects import Subject, reviewable_stages, subjects
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRCore.progress import Reporter


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A line of the queue.

    Attributes:
        subject: what is to be looked at.
        doubt: how doubtful it is.
        decision: what holds for it; None if nothing was decided.
        corrected: the label map that replaces it; None if there is none.
    """

    subject: Subject
    doubt: Doubt
    decision: Decision | None = None
    corrected: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """The line as JSON values."""
        case = self.subject.case
        return {
            "case": case.case_id,
            "patient": case.patient_id,
            "sequence": next(iter(case.images)),
            "stage": self.subject.stage_id,
            "image": str(case.image.path),
            "labels": str(case.label_map.path) if case.label_map else "",
            "doubt": self.doubt.score,
            "objections": [asdict(objection) for objection in self.doubt.objections],
            "decision": asdict(self.decision) if self.decision else None,
            "corrected": str(self.corrected) if self.corrected else "",
        }


def review_queue(run: RunReading, reporter: Reporter, stage_id: str = "") -> tuple[ReviewItem, ...]:
    """Pseudo-labels of a stage, the most doubtful first; of equal doubt in order of the cases.

    Raises:
        UsageError: as `subjects`.
    """
    store = ArtifactStore(run.store)
    found = subjects(run, stage_id)
    earlier = _earlier_labels(run, found)
    failed = _filter_failures(run, found[0].stage_id)
    items = []
    for number, subject in enumerate(found):
        reporter.advance("review", number, len(found))
        labels = subject.case.label_map
        if labels is None:
            continue
        rounds = [*earlier.get(_examination(subject.case), ()), (labels.sha256, labels.path)]
        doubt = doubt_of(store, subject.artifact, rounds)
        doubt = doubt.with_objections(failed.get(subject.case.case_id, ()))
        items.append(_item(store, subject, doubt))
    reporter.advance("review", len(found), len(found))
    return tuple(sorted(items, key=lambda item: -item.doubt.score))


def _item(store: ArtifactStore, subject: Subject, doubt: Doubt) -> ReviewItem:
    entry = standing_entry(store.root, subject)
    if entry is None:
        return ReviewItem(subject, doubt)
    sha256 = entry.decision.corrected
    corrected = labels_file(store.root, sha256).path if sha256 else None
    return ReviewItem(subject, doubt, entry.decision, corrected)


def standing_entry(store_root: Path, subject: Subject) -> Entry | None:
    """The decision that holds for a pseudo-label; None if there is none."""
    labels = subject.case.label_map
    return standing(entries_of(store_root, subject.case), labels.sha256 if labels else "")


def decide(
    store: ArtifactStore,
    subject: Subject,
    kind: str,
    *,
    by: str = "",
    note: str = "",
    corrected: Path | None = None,
) -> tuple[Entry, str]:
    """Note a decision; the entry, and what reading a corrected label map had to decide.

    Args:
        store: that the subject lies in.
        subject: the pseudo-label.
        kind: one of `KINDS`.
        by: who decides; empty for the name of the user of this computer.
        note: why.
        corrected: label map that replaces the pseudo-label; for ``"correct"`` only.

    Raises:
        UsageError: there is nothing to undo, or a correction comes without its label map.
        FlareMRError: see `store_labels`.
    """
    if (kind == CORRECT) != (corrected is not None):
        raise UsageError("A correction, and only that, needs a label map.", code="usage.labels")
    if kind == UNDO and standing_entry(store.root, subject) is None:
        raise UsageError(
            f"Nothing was decided about '{subject.case.case_id}' that could be undone.",
            code="review.nothing-to-undo",
        )
    case = subject.case
    sha256, warning = "", ""
    annotated: tuple[str, ...] = ()
    if corrected is not None:
        file, warning = store_labels(store, case, corrected)
        sha256, annotated = file.sha256, _looked_for(case, file.path)
    decision = Decision(
        kind=kind,
        case_id=case.case_id,
        image=case.image.sha256,
        labels=_undone_labels(store, subject) if kind == UNDO else _labels(subject),
        artifact=subject.artifact.name,
        by=by or getpass.getuser(),
        note=note,
        corrected=sha256,
        annotated=annotated,
    )
    return add_decision(store, decision), warning


def _looked_for(case: RecipeCase, corrected: Path) -> tuple[str, ...]:
    """Structures that the corrected map tells about.

    An organ without a voxel is absent. Another structure may be missing only because the program
    that was used to correct shows organs alone, so it counts as unknown.
    """
    organs = {label.id for label in organ_table()}
    values = set(np.unique(read_label_map(corrected, structure_table()).array).tolist())
    shown = {label.id for label in structure_table() if label.value in values}
    return tuple(name for name in case.annotated if name in organs | shown)


def _labels(subject: Subject) -> str:
    return subject.case.label_map.sha256 if subject.case.label_map else ""


def _undone_labels(store: ArtifactStore, subject: Subject) -> str:
    """The map that the standing decision was about: a carried correction is undone itself."""
    entry = standing_entry(store.root, subject)
    return entry.decision.labels if entry else _labels(subject)


def _examination(case: RecipeCase) -> tuple[str, str]:
    return case.case_id, case.image.sha256


def _earlier_labels(
    run: RunReading, found: Sequence[Subject]
) -> dict[tuple[str, str], list[tuple[str, Path]]]:
    """Label maps that earlier stages of the same kind made, by examination, in order."""
    known: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    last = {_examination(s.case): _labels(s) for s in found}
    use = _use_of(run, found[0].stage_id)
    for stage_id in reviewable_stages(run):
        if stage_id == found[0].stage_id:
            break
        if _use_of(run, stage_id) != use:
            continue
        for subject in subjects(run, stage_id):
            labels, examination = subject.case.label_map, _examination(subject.case)
            same = known.setdefault(examination, [])
            hashes = [last.get(examination, ""), *(sha256 for sha256, _ in same)]
            if labels is not None and labels.sha256 not in hashes:
                same.append((labels.sha256, labels.path))
    return known


def _filter_failures(run: RunReading, stage_id: str) -> dict[str, tuple[Objection, ...]]:
    """Tests that cases failed in the filters of this round, by case."""
    ids = [stage.id for stage in run.stages]
    found: dict[str, tuple[Objection, ...]] = {}
    for stage in run.stages[ids.index(stage_id) :]:
        if stage.id != stage_id and stage.use == _use_of(run, stage_id):
            break
        for folder in stage.folders:
            if not (folder / FILTER_NAME).is_file():
                continue
            for case in read_filter_report(folder).cases:
                failed = tuple(_objection(f) for f in case.findings if not f.kept)
                found[case.case_id] = (*found.get(case.case_id, ()), *failed)
    return found


def _objection(finding: Finding) -> Objection:
    measured = finding.measured or 0.0
    is_high = finding.high is not None and measured >= finding.high
    limit = finding.high if is_high or finding.low is None else finding.low
    return Objection(finding.rule, finding.organ or "all", measured, limit or 0.0)


def _use_of(run: RunReading, stage_id: str) -> str:
    stage = run.stage(stage_id)
    return stage.use if stage else ""
