"""apply-review: what people decided reaches the next round, and nothing else is made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_status import prune_store
from FlareMRCore.pipeline.review_decisions import (
    ACCEPT,
    CORRECT,
    REJECT,
    UNDO,
    Decision,
    add_decision,
    store_labels,
)
from FlareMRCore.pipeline.runner import RunResult
from Testing.core.pipeline.review_cases import corrected_file, run_reviewed, store_in


def cases_of(result: RunResult, stage: str) -> dict[str, RecipeCase]:
    return {case.case_id: case for case in result.outcomes[stage].cases}


def digests(result: RunResult, stage: str) -> list[str]:
    return [case.digest for case in result.outcomes[stage].cases]


def decide(folder: Path, case: RecipeCase, kind: str, corrected: Path | None = None) -> None:
    store = store_in(folder)
    labels = case.label_map.sha256 if case.label_map else ""
    sha = store_labels(store, case, corrected)[0].sha256 if corrected else ""
    organs = case.annotated if corrected else ()
    image = case.image.sha256
    add_decision(
        store, Decision(kind, case.case_id, image, labels, "key", "Ada", "", "", sha, organs)
    )


def states(result: RunResult) -> dict[str, str]:
    content = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    return {stage: facts["state"] for stage, facts in content["stages"].items()}


def packed(result: RunResult) -> set[str]:
    (artifact,) = result.outcomes["packed"].artifacts
    return {
        path.name.partition(".")[0]
        for path in artifact.folder.iterdir()
        if path.name.startswith("phantom")
    }


def test_without_decisions_everything_passes_and_is_told(tmp_path: Path) -> None:
    result = run_reviewed(tmp_path, until="reviewed")
    assert digests(result, "reviewed") == digests(result, "pseudo")
    log = (result.folder / "log.txt").read_text(encoding="utf-8")
    assert "Nobody has reviewed the 3 pseudo-labels" in log


def test_the_next_round_honors_a_rejection_and_a_correction(tmp_path: Path) -> None:
    before = run_reviewed(tmp_path)
    pseudo = cases_of(before, "pseudo")
    first, second, third = pseudo.values()
    decide(tmp_path, first, REJECT)
    decide(tmp_path, second, CORRECT, corrected_file(second, tmp_path / "better.nii.gz"))
    after = run_reviewed(tmp_path)

    reviewed = cases_of(after, "reviewed")
    rejected = reviewed[first.case_id]
    assert (rejected.label_map, rejected.label_source, rejected.annotated) == (None, None, ())
    corrected = reviewed[second.case_id]
    assert corrected.label_source == "corrected"
    assert corrected.label_map is not None
    array = read_label_map(corrected.label_map.path).array
    assert np.unique(array).tolist() == [0, 11]
    assert int((array == 11).sum()) == 27
    assert reviewed[third.case_id].digest == third.digest

    assert len(packed(before)) == 4
    assert packed(before) - packed(after) == {first.case_id}
    changed = {stage for stage, state in states(after).items() if state == "done"}
    assert changed == {"reviewed", "largest", "packed", "reviewed-2"}
    content = json.loads((after.folder / "run.json").read_text(encoding="utf-8"))
    assert content["stages"]["largest"]["made"] == 2


def test_a_correction_reaches_later_rounds_a_rejection_does_not(tmp_path: Path) -> None:
    first, second, third = run_reviewed(tmp_path).outcomes["pseudo"].cases
    decide(tmp_path, first, REJECT)
    decide(tmp_path, second, CORRECT, corrected_file(second, tmp_path / "better.nii.gz"))
    result = run_reviewed(tmp_path)
    later = cases_of(result, "reviewed-2")
    assert later[first.case_id].label_source == "predicted"
    assert later[second.case_id].label_source == "corrected"
    assert later[third.case_id].digest == cases_of(result, "pseudo-2")[third.case_id].digest


def test_undo_leads_back_to_what_is_in_the_store(tmp_path: Path) -> None:
    case = run_reviewed(tmp_path).outcomes["pseudo"].cases[0]
    decide(tmp_path, case, REJECT)
    assert cases_of(run_reviewed(tmp_path), "reviewed")[case.case_id].label_map is None
    decide(tmp_path, case, UNDO)
    result = run_reviewed(tmp_path)
    assert set(states(result).values()) == {"cached"}
    assert cases_of(result, "reviewed")[case.case_id].digest == case.digest


def test_pruning_the_store_keeps_reviews(tmp_path: Path) -> None:
    case = run_reviewed(tmp_path, until="pseudo").outcomes["pseudo"].cases[0]
    decide(tmp_path, case, REJECT)
    prune_store(store_in(tmp_path), keep_runs=0)
    assert not store_in(tmp_path).all_keys()
    result = run_reviewed(tmp_path, until="reviewed")
    assert cases_of(result, "reviewed")[case.case_id].label_map is None


def test_accepting_changes_no_label(tmp_path: Path) -> None:
    before = run_reviewed(tmp_path)
    case = before.outcomes["pseudo"].cases[0]
    decide(tmp_path, case, ACCEPT)
    after = run_reviewed(tmp_path)
    assert digests(after, "reviewed") == digests(before, "reviewed")
    assert {stage for stage, state in states(after).items() if state == "done"} == {"reviewed"}


def test_only_reviewed_leaves_out_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Testing.core.pipeline import review_cases

    case = run_reviewed(tmp_path, until="pseudo").outcomes["pseudo"].cases[1]
    decide(tmp_path, case, ACCEPT)
    text = review_cases.RECIPE.replace(
        'use = "apply-review"', 'use = "apply-review"\nonly_reviewed = true'
    )
    monkeypatch.setattr(review_cases, "RECIPE", text)
    result = run_reviewed(tmp_path, until="reviewed")
    labeled = [c.case_id for c in result.outcomes["reviewed"].cases if c.label_map]
    assert labeled == [case.case_id]


def test_a_damaged_correction_is_not_used(tmp_path: Path) -> None:
    case = run_reviewed(tmp_path, until="pseudo").outcomes["pseudo"].cases[0]
    better = corrected_file(case, tmp_path / "better.nii.gz")
    file, _ = store_labels(store_in(tmp_path), case, better)
    decide(tmp_path, case, CORRECT, better)
    file.path.write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="was changed"):
        run_reviewed(tmp_path)
