"""Stages that decide which pseudo-labels are trained on; the others go on as unlabeled images.

Each writes filter.json, see `FlareMRCore.pipeline.filter_report`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_grid
from FlareMRCore.errors import DatasetError
from FlareMRCore.imaging.anatomy_filter import AnatomyRule, check_anatomy
from FlareMRCore.imaging.label_operations import combine_rounds
from FlareMRCore.imaging.pseudo_label_filters import (
    VolumeRatioRule,
    check_volumes,
    mean_volumes_mm3,
    organ_volumes_mm3,
)
from FlareMRCore.imaging.resampling import resample_labels_to
from FlareMRCore.imaging.uncertainty import certain_cases, round_uncertainty
from FlareMRCore.pipeline.case_labels import (
    by_case,
    read_case_labels,
    require_allowed_labels,
    with_labels,
)
from FlareMRCore.pipeline.filter_findings import (
    anatomy_findings,
    apply_verdicts,
    judged_case,
    volume_findings,
)
from FlareMRCore.pipeline.filter_report import FilteredCase, Finding
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASES, Slot, Stage, StageContext, StageInputs
from FlareMRCore.pipeline.stages_kidney import (
    FilterKidneyParameters,
    filter_by_kidneys,
    leaders_of,
)

Cases = tuple[RecipeCase, ...]
_Findings = Callable[[RecipeCase], tuple[Finding, ...]]


@dataclass(frozen=True, slots=True)
class FilterVolumeRatioParameters:
    """Limits as shares of the mean volume of each organ in the references."""

    rule: VolumeRatioRule = field(default_factory=VolumeRatioRule)


@dataclass(frozen=True, slots=True)
class FilterUncertaintyParameters:
    """Which cases change too much from round to round.

    Attributes:
        drop_share: share of the cases that goes, the most uncertain first.
        limit: largest accepted uncertainty; none if it is not given.
        labels: what the others are labeled with: those of the latest round, or all rounds'.
    """

    drop_share: float = 0.2
    limit: float | None = None
    labels: Literal["latest", "union", "majority"] = "latest"


@dataclass(frozen=True, slots=True)
class FilterAnatomyParameters:
    """What an abdomen looks like.

    Attributes:
        rule: limits.
        organs: ids of those that are tested; empty for all that were looked for.
        followers: pairs of sequences of a patient: the first takes verdict and labels of the
            second, with which it was measured.
    """

    rule: AnatomyRule = field(default_factory=AnatomyRule)
    organs: tuple[str, ...] = ()
    followers: tuple[tuple[str, str], ...] = (("OP", "IP"),)


def filter_by_volume_ratio(
    inputs: StageInputs, parameters: FilterVolumeRatioParameters, context: StageContext
) -> Cases:
    """The cases; those with an organ far from the references' mean volume without labels.

    Raises:
        DatasetError: a reference is the target's truth.
        UsageError: no reference has labels.
    """
    volumes = []
    for reference in inputs.cases["references"]:
        require_allowed_labels(reference)
        if reference.label_map is not None:
            volumes.append(organ_volumes_mm3(_organs_of(reference)))
    mean = mean_volumes_mm3(volumes, absent_counts_zero=parameters.rule.absent_counts_zero)

    def findings(case: RecipeCase) -> tuple[Finding, ...]:
        label_map = _organs_of(case)
        verdict = check_volumes(label_map, mean, parameters.rule)
        return volume_findings(label_map, verdict, mean, parameters.rule)

    judged = _judged(inputs.cases["cases"], findings, context)
    return apply_verdicts("volume-ratio", inputs.cases["cases"], judged, context)


def filter_by_anatomy(
    inputs: StageInputs, parameters: FilterAnatomyParameters, context: StageContext
) -> Cases:
    """The cases; those whose labels cannot be an abdomen without labels.

    Raises:
        InputError: a label map cannot be read.
    """
    cases = inputs.cases["cases"]
    leaders = leaders_of(cases, dict(parameters.followers))

    def findings(case: RecipeCase) -> tuple[Finding, ...]:
        label_map = _organs_of(case, parameters.organs)
        verdict = check_anatomy(label_map, parameters.rule)
        return anatomy_findings(label_map, verdict, parameters.rule)

    own = [case for case in cases if case.case_id not in leaders]
    judged = _judged(own, findings, context)
    for case in cases:
        if case.case_id in leaders:
            judged[case.case_id] = _following(case, leaders[case.case_id], judged)
    led = tuple(
        _led(case, leaders[case.case_id], context)
        if case.case_id in leaders and judged[case.case_id].kept
        else case
        for case in cases
    )
    return apply_verdicts("anatomy", led, judged, context)


def filter_by_uncertainty(
    inputs: StageInputs, parameters: FilterUncertaintyParameters, context: StageContext
) -> Cases:
    """One case of all rounds of an examination; those that change most without labels.

    Raises:
        DatasetError: a case has labels of fewer than two rounds.
        UsageError: `drop_share` is no share, or label maps of a case differ in shape.
    """
    groups = by_case(inputs.cases["rounds"])
    uncertainty = {}
    for number, (name, same) in enumerate(groups.items()):
        context.reporter.advance("uncertainty", number, len(groups))
        uncertainty[name] = round_uncertainty([m.array for m in _rounds(same)])
    kept = certain_cases(uncertainty, drop_share=parameters.drop_share, limit=parameters.limit)
    highest = max((uncertainty[name] for name in kept), default=0.0)
    judged, cases = {}, []
    for name, same in groups.items():
        finding = _uncertainty_finding(uncertainty[name], highest, is_kept=name in kept)
        judged[name] = judged_case(same[-1], (finding,))
        if parameters.labels == "latest" or name not in kept:
            cases.append(same[-1])
            continue
        maps = _rounds(same)
        array = combine_rounds([label_map.array for label_map in maps], parameters.labels)
        label_map = LabelMap(array, maps[-1].geometry, maps[-1].labels)
        cases.append(with_labels(same[-1], label_map, context, folder=name))
    return apply_verdicts("uncertainty", tuple(cases), judged, context)


def _judged(
    cases: Sequence[RecipeCase], findings: _Findings, context: StageContext
) -> dict[str, FilteredCase]:
    """Verdict on each labeled case by id."""
    found = {}
    for number, case in enumerate(cases):
        context.reporter.advance("filter", number, len(cases))
        if case.label_map is not None:
            found[case.case_id] = judged_case(case, findings(case))
    return found


def _organs_of(case: RecipeCase, only: tuple[str, ...] = ()) -> LabelMap:
    """Labels of the annotated organs, or of some of them; nothing else is looked at."""
    label_map = read_case_labels(case)
    wanted = organ_table().subset(only) if only else organ_table()
    organs = tuple(label.id for label in wanted if label.id in case.annotated)
    return LabelMap(label_map.array, label_map.geometry, organ_table().subset(organs))


def _rounds(same: Sequence[RecipeCase]) -> list[LabelMap]:
    """Label maps of the rounds, the latest last.

    Raises:
        DatasetError: fewer than two of them are labeled.
    """
    labeled = [case for case in same if case.label_map is not None]
    if len(labeled) < 2:
        raise DatasetError(
            f"Case '{same[0].case_id}' is labeled in {len(labeled)} of {len(same)} rounds; "
            "uncertainty needs two.",
            code="recipe.rounds",
            hint="Give at least two stages that label the same cases.",
        )
    return [read_case_labels(case) for case in labeled]


def _uncertainty_finding(value: float, highest: float, *, is_kept: bool) -> Finding:
    measured = value if math.isfinite(value) else None
    if measured is None:
        words = "A later round found nothing."
    elif is_kept:
        words = f"{value:.1%} of the foreground changes from round to round, which is accepted."
    else:
        words = f"{value:.1%} of the foreground changes from round to round; others change less."
    return Finding("uncertainty", "", is_kept, measured, None, highest, "share", words)


def _following(
    case: RecipeCase, leader: RecipeCase, judged: Mapping[str, FilteredCase]
) -> FilteredCase:
    verdict = judged.get(leader.case_id)
    is_kept = verdict is not None and verdict.kept
    words = f"It takes the labels of '{leader.case_id}', which were "
    words += "kept." if is_kept else "rejected." if verdict else "not there."
    return FilteredCase(case.case_id, case.patient_id, case.sequence, is_kept, words)


def _led(case: RecipeCase, leader: RecipeCase, context: StageContext) -> RecipeCase:
    """The case with the labels of its leader, on its own grid."""
    label_map, geometry = read_case_labels(leader), read_grid(case.image.path).geometry
    if not label_map.geometry.coincides(geometry, tolerance_mm=0.1):
        label_map = resample_labels_to(label_map, geometry)
    return with_labels(
        case,
        label_map,
        context,
        folder=case.case_id,
        source=leader.label_source,
        annotated=leader.annotated,
    )


FILTER_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "filter-volume-ratio": Stage(
            1,
            FilterVolumeRatioParameters,
            filter_by_volume_ratio,
            CASES,
            {"cases": Slot(CASES, many=True), "references": Slot(CASES, many=True)},
        ),
        "filter-uncertainty": Stage(
            1,
            FilterUncertaintyParameters,
            filter_by_uncertainty,
            CASES,
            {"rounds": Slot(CASES, many=True)},
        ),
        "filter-kidney": Stage(
            2,
            FilterKidneyParameters,
            filter_by_kidneys,
            CASES,
            {"cases": Slot(CASES, many=True), "references": Slot(CASES, many=True)},
        ),
        "filter-anatomy": Stage(
            1,
            FilterAnatomyParameters,
            filter_by_anatomy,
            CASES,
            {"cases": Slot(CASES, many=True)},
        ),
    }
)
"""Joined to STAGES."""
