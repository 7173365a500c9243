"""The verb review: the same decisions as in Slicer, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.data.dataset_manifest import load_dataset
from FlareMRCore.events import parse_event
from Testing.core.pipeline.review_cases import corrected_file, run_reviewed


@pytest.fixture
def store(tmp_path: Path) -> list[str]:
    run_reviewed(tmp_path, until="reviewed")
    return ["--store", str(tmp_path / "store")]


def listed(capsys: pytest.CaptureFixture[str], store: list[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["review", "list", *store, "--json-progress"]) == 0
    event = parse_event(capsys.readouterr().out.splitlines()[-1])
    assert event is not None
    items: list[dict[str, Any]] = event["items"]
    return items


def test_list_names_doubt_and_reasons(capsys: pytest.CaptureFixture[str], store: list[str]) -> None:
    assert main(["review", "list", *store]) == 0
    out = capsys.readouterr().out
    assert "Stage 'pseudo'" in out
    assert "missing/right_kidney" in out
    items = listed(capsys, store)
    assert [item["doubt"] for item in items] == sorted((i["doubt"] for i in items), reverse=True)
    assert all(Path(item["image"]).is_file() and Path(item["labels"]).is_file() for item in items)


def test_a_rejection_and_a_correction_reach_the_next_run(
    capsys: pytest.CaptureFixture[str], store: list[str], tmp_path: Path
) -> None:
    result = run_reviewed(tmp_path, until="reviewed")
    first, second, _ = result.outcomes["pseudo"].cases
    better = str(corrected_file(second, tmp_path / "better.nii.gz"))
    words = ["--by", "Ada", *store]
    assert main(["review", "reject", first.case_id, "--note", "no liver", *words]) == 0
    assert main(["review", "correct", second.case_id, "--labels", better, *words]) == 0
    decisions = {item["case"]: item["decision"] for item in listed(capsys, store)}
    assert decisions[first.case_id]["kind"] == "reject"
    assert decisions[first.case_id]["note"] == "no liver"
    assert decisions[second.case_id]["kind"] == "correct"
    cases = run_reviewed(tmp_path, until="reviewed").outcomes["reviewed"].cases
    assert [case.label_source for case in cases] == [None, "corrected", "predicted"]
    assert main(["review", "undo", first.case_id, *store]) == 0
    cases = run_reviewed(tmp_path, until="reviewed").outcomes["reviewed"].cases
    assert [case.label_source for case in cases] == ["predicted", "corrected", "predicted"]


def test_a_run_without_pseudo_labels_has_an_empty_queue(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = str(run_reviewed(tmp_path, until="cohort").folder)
    assert main(["review", "list", "--run", run]) == 0
    assert "no pseudo-labels yet" in capsys.readouterr().out
    assert main(["review", "list", "--run", run, "--json-progress"]) == 0
    event = parse_event(capsys.readouterr().out.splitlines()[-1])
    assert event is not None
    assert (event["stages"], event["items"]) == ([], [])
    assert main(["review", "list", "--run", run, "--stage", "cohort"]) == 2


def test_mistakes_have_exit_codes(
    capsys: pytest.CaptureFixture[str], store: list[str], tmp_path: Path
) -> None:
    assert main(["review", "accept", "nobody", *store]) == 2
    assert "no pseudo-label of case 'nobody'" in capsys.readouterr().err
    assert main(["review", "undo", "phantom-1001-t2", *store]) == 2
    assert main(["review", "list", "--store", str(tmp_path / "empty")]) == 3
    assert main(["review", "correct", "phantom-1001-t2", *store]) == 2


def test_add_makes_a_training_case(
    capsys: pytest.CaptureFixture[str], store: list[str], tmp_path: Path
) -> None:
    case = run_reviewed(tmp_path, until="reviewed").outcomes["pseudo"].cases[0]
    assert case.label_map is not None
    files = [str(case.image.path), str(case.label_map.path)]
    manifest = tmp_path / "dataset.json"
    words = ["--dataset", str(manifest), "--case", "new", "--sequence", "t2", "--patient", "p7"]
    assert main(["review", "add", *files, *words]) == 0
    assert "new is now a case" in capsys.readouterr().out
    added = load_dataset(manifest).case("new")
    assert (added.patient_id, list(added.images)) == ("p7", ["t2"])
    assert json.loads(manifest.read_text(encoding="utf-8"))["splits"] == {
        "default": {"train": ["p7"]}
    }
    assert main(["review", "add", *files, *words]) == 3
