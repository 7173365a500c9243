"""The stage that honors what people decided about pseudo-labels."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.label_io import sidecar_path
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.case_labels import LABELS_NAME, OWN_LABELS, without_labels
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.review_decisions import (
    CORRECT,
    REJECT,
    Decision,
    entries_of,
    labels_file,
    read_entry,
    standing,
)
from FlareMRCore.pipeline.stage import (
    CASES,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    Surroundings,
)

REVIEW_NAME = "review.json"
UNSEEN = "not reviewed"


@dataclass(frozen=True, slots=True)
class ApplyReviewParameters:
    """What happens to pseudo-labels that nobody has looked at.

    Attributes:
        only_reviewed: leave them out, so that training sees accepted and corrected ones only.
    """

    only_reviewed: bool = False


def apply_review(
    inputs: StageInputs, parameters: ApplyReviewParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The cases as people want them, and review.json with what was applied.

    A rejected pseudo-label is taken away, so that its case goes on as an unlabeled image; a
    corrected one is replaced, with label source ``"corrected"``. Labels that are not of our own
    making pass as they are.

    Raises:
        DatasetError: a corrected label map is damaged.
    """
    cases: list[RecipeCase] = []
    applied: list[dict[str, str]] = []
    for case in inputs.cases["cases"]:
        decision = _decision(inputs, case)
        if decision is None and not _is_pseudo_labeled(case):
            cases.append(case)
            continue
        kind = decision.kind if decision else UNSEEN
        applied.append({"case": case.case_id, "decision": kind})
        cases.append(_decided(case, decision, parameters, inputs, context))
    text = json.dumps({"format": 1, "applied": applied}, indent=1, ensure_ascii=False)
    write_text_atomically(context.folder / REVIEW_NAME, text + "\n")
    context.reporter.message(summary(Counter(entry["decision"] for entry in applied)))
    return tuple(cases)


def review_files(inputs: StageInputs, surroundings: Surroundings) -> Mapping[str, DataFile]:
    """The decision that holds for each case, and the label maps that corrections need."""
    found: dict[str, DataFile] = {}
    if surroundings.store is None:
        return found
    for case in inputs.cases["cases"]:
        if case.label_map is not None and not _is_pseudo_labeled(case):
            continue
        labels = case.label_map.sha256 if case.label_map else ""
        entry = standing(entries_of(surroundings.store, case), labels)
        if entry is None:
            continue
        found[_decision_name(case)] = entry.file
        if entry.decision.kind == CORRECT:
            corrected = labels_file(surroundings.store, entry.decision.corrected)
            found[_labels_name(case)] = corrected
    return found


def summary(counts: Mapping[str, int]) -> str:
    """How many pseudo-labels were accepted, rejected, corrected or not looked at, in words."""
    total = sum(counts.values())
    seen = total - counts.get(UNSEEN, 0)
    if not total:
        return "There are no pseudo-labels to review."
    if not seen:
        return f"Nobody has reviewed the {total} pseudo-labels yet; they pass as they are."
    parts = ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))
    return f"{seen} of {total} pseudo-labels were reviewed ({parts})."


def _decided(
    case: RecipeCase,
    decision: Decision | None,
    parameters: ApplyReviewParameters,
    inputs: StageInputs,
    context: StageContext,
) -> RecipeCase:
    if decision is None:
        return without_labels(case) if parameters.only_reviewed else case
    if decision.kind == REJECT:
        return without_labels(case)
    if decision.kind == CORRECT:
        return _corrected(case, decision, inputs.attached[_labels_name(case)], context)
    return case


def _corrected(
    case: RecipeCase, decision: Decision, source: DataFile, context: StageContext
) -> RecipeCase:
    name = f"{case.case_id}/{LABELS_NAME}"
    target = context.folder / name
    if not source.path.is_file():
        raise _damaged(source, "is missing")
    target.parent.mkdir(parents=True)
    shutil.copyfile(source.path, target)
    shutil.copyfile(sidecar_path(source.path), sidecar_path(target))
    copy = context.own_file(name)
    if copy.sha256 != source.sha256:
        raise _damaged(source, "was changed")
    return replace(case, label_map=copy, label_source="corrected", annotated=decision.annotated)


def _decision(inputs: StageInputs, case: RecipeCase) -> Decision | None:
    file = inputs.attached.get(_decision_name(case))
    return read_entry(file.path).decision if file else None


def _is_pseudo_labeled(case: RecipeCase) -> bool:
    return case.label_map is not None and case.label_source in OWN_LABELS


def _decision_name(case: RecipeCase) -> str:
    return f"review:{case.digest}"


def _labels_name(case: RecipeCase) -> str:
    return f"review-labels:{case.digest}"


def _damaged(file: DataFile, what: str) -> DatasetError:
    return DatasetError(
        f"The corrected label map '{file.path}' {what}.",
        code="review.damaged",
        hint="Undo the correction, or correct the case again.",
    )


REVIEW_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "apply-review": Stage(
            1,
            ApplyReviewParameters,
            apply_review,
            CASES,
            {"cases": Slot(CASES, many=True)},
            attached=review_files,
        )
    }
)
