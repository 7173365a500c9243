"""Verdicts of the filters in words and in units that people use, for their reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.anatomy_filter import ADRENALS, AnatomyRule
from FlareMRCore.imaging.kidney_filter import KIDNEYS, KidneyCheck, SequenceRule
from FlareMRCore.imaging.pseudo_label_filters import (
    Objection,
    Verdict,
    VolumeRatioRule,
    organ_volumes_mm3,
)
from FlareMRCore.pipeline.case_labels import without_labels
from FlareMRCore.pipeline.filter_report import (
    FilteredCase,
    FilterReport,
    Finding,
    write_filter_report,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageContext

ML = 1000.0
"""Cubic millimeters in a milliliter."""


def volume_findings(
    label_map: LabelMap, verdict: Verdict, mean_mm3: Mapping[str, float], rule: VolumeRatioRule
) -> tuple[Finding, ...]:
    """One finding per organ with a mean volume, failed ones first."""
    failed = {objection.organ: objection for objection in verdict.objections}
    found = []
    for organ, volume in organ_volumes_mm3(label_map).items():
        mean = mean_mm3.get(organ, 0.0) / ML
        if mean <= 0:
            continue
        low, high, measured = rule.low * mean, rule.high * mean, volume / ML
        objection = failed.get(organ)
        name = objection.rule if objection else "volume"
        if objection is None and not low < measured < high:
            name = "untested"
        words = _volume_words(name, measured, low, high)
        found.append(Finding(name, organ, objection is None, measured, low, high, "mL", words))
    return _failed_first(found)


def anatomy_findings(
    label_map: LabelMap, verdict: Verdict, rule: AnatomyRule
) -> tuple[Finding, ...]:
    """One finding per organ, and one more per further rule that an organ broke, failed first."""
    failed = {(objection.organ, objection.rule) for objection in verdict.objections}
    found = [_anatomy_finding(objection) for objection in verdict.objections]
    for organ, volume in organ_volumes_mm3(label_map).items():
        if not {(organ, "missing"), (organ, "small")} & failed:
            low = 0.0 if organ in ADRENALS else rule.min_organ_mm3 / ML
            words = f"{_ml(volume / ML)} are enough."
            found.append(Finding("size", organ, True, volume / ML, low, None, "mL", words))
    return _failed_first(found)


def kidney_findings(check: KidneyCheck, rule: SequenceRule) -> tuple[Finding, ...]:
    """One finding per kidney.

    A kidney fails if it keeps the case from being accepted: below what both must reach, or, if
    none of the two reaches what one must, each of them.
    """
    scores = (check.right_dice, check.left_dice)
    one_is_good = any(score is not None and score >= rule.one for score in scores)
    found = []
    for organ, score in zip(KIDNEYS, scores, strict=True):
        value = 0.0 if score is None else score
        low = rule.both if one_is_good else max(rule.one, rule.both)
        kept = value >= low
        words = _kidney_words(score, low)
        found.append(Finding("kidney-dice", organ, kept, score, low, None, "Dice", words))
    return _failed_first(found)


def case_words(findings: tuple[Finding, ...]) -> str:
    """Why a case is kept or rejected: all failed tests in one line."""
    failed = [finding for finding in findings if not finding.kept]
    if not failed:
        return "All tests were passed."
    return " ".join(
        f"{_words(finding.organ)}: {finding.reason}" if finding.organ else finding.reason
        for finding in failed
    )


def judged_case(case: RecipeCase, findings: tuple[Finding, ...]) -> FilteredCase:
    """The line of a case in the report; it is kept if no test failed."""
    kept = all(finding.kept for finding in findings)
    return FilteredCase(
        case.case_id, case.patient_id, case.sequence, kept, case_words(findings), findings
    )


def apply_verdicts(
    name: str,
    cases: Iterable[RecipeCase],
    judged: Mapping[str, FilteredCase],
    context: StageContext,
) -> tuple[RecipeCase, ...]:
    """The cases, rejected ones without labels; what was decided goes into filter.json.

    Args:
        name: of the filter.
        cases: all that the stage hands on; those that were not judged pass as they are.
        judged: verdict of each case by id.
        context: of the stage.
    """
    cases = tuple(cases)
    lines = tuple(judged[case.case_id] for case in cases if case.case_id in judged)
    report = FilterReport(name, lines)
    write_filter_report(context.folder, report)
    context.reporter.message(f"{report.kept} of {len(lines)} pseudo-labels are kept.")
    rejected = {line.case_id for line in lines if not line.kept}
    return tuple(without_labels(case) if case.case_id in rejected else case for case in cases)


def _anatomy_finding(objection: Objection) -> Finding:
    rule, organ = objection.rule, objection.organ
    if rule == "short":
        words = (
            f"{objection.found:.1f} mm from front to back is less than {objection.limit:.1f} mm."
        )
        return Finding(rule, organ, False, objection.found, objection.limit, None, "mm", words)
    found, limit = objection.found / ML, objection.limit / ML
    if rule == "scattered":
        words = f"A second piece of {_ml(found)} is not below {_ml(limit)}."
        return Finding(rule, organ, False, found, None, limit, "mL", words)
    words = "It is missing." if rule == "missing" else f"{_ml(found)} is less than {_ml(limit)}."
    return Finding(rule, organ, False, found, limit, None, "mL", words)


def _volume_words(rule: str, measured: float, low: float, high: float) -> str:
    if rule == "missing":
        return "It is missing."
    if rule == "volume-low":
        return f"{_ml(measured)} is not above {_ml(low)}."
    if rule == "volume-high":
        return f"{_ml(measured)} is not below {_ml(high)}."
    if rule == "untested":
        return f"{_ml(measured)}, not tested: it leaves the image, or missing organs may be."
    return f"{_ml(measured)} lies between {_ml(low)} and {_ml(high)}."


def _kidney_words(score: float | None, low: float) -> str:
    if score is None:
        return "The label has no such kidney."
    relation = "reaches" if score >= low else "is below"
    return f"A Dice of {score:.2f} {relation} {low:.2f}."


def _ml(volume: float) -> str:
    return f"{volume:.0f} mL" if volume >= 10 else f"{volume:.2f} mL"


def _words(organ: str) -> str:
    return organ.replace("_", " ").replace("+", " + ")


def _failed_first(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.kept))
