"""The queue: which pseudo-labels it holds, in which order, and what was decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.pipeline.filter_report import (
    FilteredCase,
    FilterReport,
    Finding,
    write_filter_report,
)
from FlareMRCore.pipeline.review import decide, review_queue
from FlareMRCore.pipeline.review_decisions import ACCEPT, CORRECT, REJECT, UNDO
from FlareMRCore.pipeline.review_subjects import (
    default_stage,
    find_run,
    reviewable_stages,
    subject_of,
    subjects,
)
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.review_cases import corrected_file, run_reviewed, store_in


@pytest.fixture
def run(tmp_path: Path) -> RunReading:
    run_reviewed(tmp_path)
    return find_run(store_in(tmp_path))


def test_the_last_reviewed_stage_is_the_queue(run: RunReading) -> None:
    assert reviewable_stages(run) == ("pseudo", "largest", "pseudo-2")
    assert default_stage(run) == "pseudo-2"
    assert [s.stage_id for s in subjects(run, "pseudo")] == ["pseudo"] * 3
    with pytest.raises(UsageError, match="pseudo-2"):
        subjects(run, "cohort")
    with pytest.raises(UsageError, match="phantom-1001-t2"):
        subject_of(run, "nobody")


def test_a_store_without_pseudo_labels_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has pseudo-labels"):
        find_run(store_in(tmp_path))
    run_reviewed(tmp_path, until="cohort")
    with pytest.raises(DatasetError, match="has pseudo-labels"):
        find_run(store_in(tmp_path))


def test_the_queue_follows_the_run_that_has_labels(tmp_path: Path) -> None:
    run_reviewed(tmp_path, until="pseudo")
    run_reviewed(tmp_path, until="cohort")
    run = find_run(store_in(tmp_path))
    assert default_stage(run) == "pseudo"


def test_the_most_doubtful_comes_first(run: RunReading) -> None:
    items = review_queue(run, SilentReporter(), "pseudo")
    assert [item.subject.case.case_id[:12] for item in items] == [
        "phantom-1003",
        "phantom-1001",
        "phantom-1002",
    ]
    rules = {o.rule for o in items[0].doubt.objections if o.organ == "liver"}
    assert "fragmented" in rules
    assert all(item.subject.case.image.path.is_file() for item in items)
    later = review_queue(run, SilentReporter(), "pseudo-2")
    assert all("rounds-differ" in {o.rule for o in item.doubt.objections} for item in later)


def test_failed_filters_add_doubt_in_their_round(run: RunReading) -> None:
    before = {i.subject.case.case_id: i for i in review_queue(run, SilentReporter(), "pseudo")}
    case = before["phantom-1002-venous"].subject.case
    finding = Finding("volume-high", "liver", False, 9.0, 1.0, 5.0, "mL", "Too much.")
    line = FilteredCase(case.case_id, case.patient_id, case.sequence, False, "x", (finding,))
    reviewed = run.stage("reviewed")
    assert reviewed is not None
    write_filter_report(reviewed.folders[0], FilterReport("volume-ratio", (line,)))
    items = {i.subject.case.case_id: i for i in review_queue(run, SilentReporter(), "pseudo")}
    after = items[case.case_id].doubt
    assert after.score == before[case.case_id].doubt.score + 1
    assert (after.objections[-1].rule, after.objections[-1].limit) == ("volume-high", 5.0)
    assert items["phantom-1001-t2"].doubt == before["phantom-1001-t2"].doubt
    later = review_queue(run, SilentReporter(), "pseudo-2")
    assert all(o.rule != "volume-high" for item in later for o in item.doubt.objections)


def test_decisions_show_in_the_queue(run: RunReading, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    first, second, third = subjects(run, "pseudo")
    decide(store, first, REJECT, by="Ada", note="no liver")
    better = corrected_file(second.case, tmp_path / "better.nii.gz")
    decide(store, second, CORRECT, by="Ada", corrected=better)
    decide(store, third, ACCEPT)
    items = {i.subject.case.case_id: i for i in review_queue(run, SilentReporter(), "pseudo")}
    kinds = [i.decision.kind if i.decision else "" for i in items.values()]
    assert sorted(kinds) == [ACCEPT, CORRECT, REJECT]
    corrected = items[second.case.case_id]
    assert corrected.corrected is not None
    assert corrected.corrected.is_file()
    content = items[first.case.case_id].as_dict()
    assert (content["decision"]["by"], content["decision"]["note"]) == ("Ada", "no liver")


def test_a_correction_of_organs_leaves_tumors_unknown(run: RunReading, tmp_path: Path) -> None:
    subject = subjects(run, "pseudo")[0]
    with_tumor = replace(subject.case, annotated=(*subject.case.annotated, "tumor"))
    better = corrected_file(subject.case, tmp_path / "better.nii.gz")
    subject = replace(subject, case=with_tumor)
    entry, _ = decide(store_in(tmp_path), subject, CORRECT, corrected=better)
    assert "tumor" not in entry.decision.annotated
    assert len(entry.decision.annotated) == len(with_tumor.annotated) - 1


def test_a_carried_correction_is_undone_where_it_is_seen(run: RunReading, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    subject = subjects(run, "pseudo")[0]
    better = corrected_file(subject.case, tmp_path / "better.nii.gz")
    decide(store, subject, CORRECT, corrected=better)
    later = subject_of(run, subject.case.case_id, "pseudo-2")
    decide(store, later, UNDO)
    assert all(i.decision is None for i in review_queue(run, SilentReporter(), "pseudo-2"))
    with pytest.raises(UsageError, match="undone"):
        decide(store, later, UNDO)


def test_a_correction_needs_labels_and_only_that(run: RunReading, tmp_path: Path) -> None:
    subject = subjects(run)[0]
    for kind, labels in ((CORRECT, None), (ACCEPT, tmp_path / "x.nii.gz")):
        with pytest.raises(UsageError, match="label map"):
            decide(store_in(tmp_path), subject, kind, corrected=labels)
