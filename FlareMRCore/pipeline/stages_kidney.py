"""The stage that hands labels of one sequence on to the others of a patient, if kidneys agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from FlareMRCore.data.dataset_names import parse_sequence
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.imaging.kidney_filter import SEQUENCE_RULES, check_kidneys
from FlareMRCore.pipeline.case_labels import (
    read_case_labels,
    require_allowed_labels,
    without_labels,
)
from FlareMRCore.pipeline.filter_findings import apply_verdicts, judged_case, kidney_findings
from FlareMRCore.pipeline.filter_report import FilteredCase
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs

Cases = tuple[RecipeCase, ...]


@dataclass(frozen=True, slots=True)
class FilterKidneyParameters:
    """What is asked of the kidneys, and who shares whose fate.

    Attributes:
        both: Dice that both kidneys must reach in T2, DWI and in phase.
        one: Dice that at least one kidney must reach in every sequence.
        followers: pairs of sequences of a patient: the first takes the verdict on the second,
            with which it was measured.
    """

    both: float = 0.8
    one: float = 0.85
    followers: tuple[tuple[str, str], ...] = (("OP", "IP"),)


def filter_by_kidneys(
    inputs: StageInputs, parameters: FilterKidneyParameters, context: StageContext
) -> Cases:
    """Registered sequences with the labels of their patient's reference, where kidneys agree.

    The reference itself, e.g. the T1 image before contrast, follows its patient's sequences. It
    keeps its labels if any sequence took them over. All others go on as unlabeled images:
    sequences of patients without a labeled reference, and those that could not be brought to
    the grid of their reference, too.

    Raises:
        DatasetError: a reference is the target's truth.
    """
    references = _references(inputs.cases["references"])
    sequences = _sequences(inputs, references)
    judged: dict[str, FilteredCase] = {}
    for number, case in enumerate(sequences):
        context.reporter.advance("kidneys", number, len(sequences))
        found = references.get(case.patient_id)
        if found is not None and sequence_of(case) in SEQUENCE_RULES:
            judged[case.case_id] = _judged(case, found, parameters)
    leaders = leaders_of(sequences, dict(parameters.followers))
    for case in sequences:
        if case.case_id not in judged:
            has_labels = case.patient_id in references
            leader = leaders.get(case.case_id)
            judged[case.case_id] = _untested(case, leader, judged, has_labels=has_labels)
    passed = {case.patient_id for case in sequences if judged[case.case_id].kept}
    for case in references.values():
        judged[case.case_id] = _reference(case, is_kept=case.patient_id in passed)
    labeled = (_labeled(case, references.get(case.patient_id)) for case in sequences)
    return apply_verdicts("kidney", (*references.values(), *labeled), judged, context)


def sequence_of(case: RecipeCase) -> str:
    """Sequence of the case's first image in one spelling; as it is if nobody knows it."""
    return parse_sequence(case.sequence) or case.sequence


def leaders_of(cases: Sequence[RecipeCase], followers: Mapping[str, str]) -> dict[str, RecipeCase]:
    """By id of a case, the case of the same patient that it follows, for those that do."""
    known = {(case.patient_id, sequence_of(case)): case for case in cases}
    pairs = (
        (case, known.get((case.patient_id, followers.get(sequence_of(case), "")))) for case in cases
    )
    return {case.case_id: leader for case, leader in pairs if leader is not None}


def _references(cases: Cases) -> dict[str, RecipeCase]:
    """The first labeled reference of each patient."""
    found: dict[str, RecipeCase] = {}
    for case in cases:
        require_allowed_labels(case)
        if case.label_map is not None:
            found.setdefault(case.patient_id, case)
    return found


def _sequences(inputs: StageInputs, references: Mapping[str, RecipeCase]) -> tuple[RecipeCase, ...]:
    """All cases but the references, each once; references without labels are among them."""
    labeled = {case.case_id for case in references.values()}
    given = (*inputs.cases["cases"], *inputs.cases["references"])
    found = {case.case_id: case for case in reversed(given) if case.case_id not in labeled}
    return tuple(reversed(found.values()))


def _judged(
    case: RecipeCase, reference: RecipeCase, parameters: FilterKidneyParameters
) -> FilteredCase:
    image, label_map = read_volume(case.image.path), read_case_labels(reference)
    if not image.geometry.coincides(label_map.geometry, tolerance_mm=0.1):
        words = f"It is not on the grid of '{reference.case_id}': it could not be aligned."
        return FilteredCase(case.case_id, case.patient_id, case.sequence, False, words)
    sequence = sequence_of(case)
    published = SEQUENCE_RULES[sequence]
    rule = replace(
        published, one=parameters.one, both=parameters.both if published.both > 0 else 0.0
    )
    check = check_kidneys(image, label_map, sequence, rule)
    return judged_case(case, kidney_findings(check, rule))


def _untested(
    case: RecipeCase,
    leader: RecipeCase | None,
    judged: Mapping[str, FilteredCase],
    *,
    has_labels: bool,
) -> FilteredCase:
    """The verdict on a sequence whose kidneys are not looked at."""
    verdict = judged.get(leader.case_id) if leader else None
    is_kept = verdict is not None and verdict.kept
    if not has_labels:
        words = "The patient has no labeled reference."
    elif verdict is None:
        words = f"The kidneys of '{case.sequence}' are not tested, and it follows no sequence."
    else:
        words = f"It follows '{verdict.case_id}', which was {'kept' if is_kept else 'rejected'}."
    return FilteredCase(case.case_id, case.patient_id, case.sequence, is_kept, words)


def _reference(case: RecipeCase, *, is_kept: bool) -> FilteredCase:
    words = "At least one sequence" if is_kept else "No sequence"
    words += " of the patient took its labels over."
    return FilteredCase(case.case_id, case.patient_id, case.sequence, is_kept, words)


def _labeled(case: RecipeCase, reference: RecipeCase | None) -> RecipeCase:
    """The case with the very label map of its reference."""
    if reference is None:
        return without_labels(case)
    return replace(
        case,
        label_map=reference.label_map,
        label_source=reference.label_source,
        annotated=reference.annotated,
    )
