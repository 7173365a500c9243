import csv
import json
from pathlib import Path

import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.methods_text import methods_text
from FlareMRCore.pipeline.run_results import ablation_rows, ablation_table, run_scores, scores_table
from Testing.core.pipeline.recipe_texts import ONE
from Testing.core.pipeline.scored_runs import MODEL_RECIPE, RECIPE, scored_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def test_results_are_those_of_the_pipeline(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    run = scored_run(tmp_path, store)
    words = ["recipe", "results", "--store", str(store.root)]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("fake paper paper: scored\norgan")
    expected = scores_table(run_scores(run)[0])
    assert main([*words, run.folder.name, "--format", "csv", "-o", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == expected.csv()
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"].values()
    assert [tuple(row) for row in table["rows"]] == list(expected.rows)
    assert main([*words, "--mode", "flare"]) == 0
    assert "Nothing was scored yet." in capsys.readouterr().out


def test_the_ablation_is_over_the_store(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    runs = [scored_run(tmp_path, store), scored_run(tmp_path, store, preset="mini")]
    words = ["recipe", "results", "--ablation", "--store", str(store.root), "--format"]
    assert main([*words, "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["preset"] for row in rows] == ["paper", "mini"]
    assert [row["liver"] for row in rows] == ["0.875", "0.750"]
    assert main([*words, "markdown"]) == 0
    assert ablation_table(ablation_rows(runs)).markdown() in capsys.readouterr().out


def test_methods_are_those_of_the_pipeline(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    run = scored_run(tmp_path, store)
    assert main(["recipe", "methods", str(run.folder)]) == 0
    assert capsys.readouterr().out == methods_text(run)
    target = tmp_path / "methods.md"
    assert main(["recipe", "methods", "--store", str(store.root), "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == methods_text(run)


def test_a_model_needs_a_stage_that_exports(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    scored_run(tmp_path, store, RECIPE)
    words = ["recipe", "export-model", "--store", str(store.root), "-o", str(tmp_path / "model")]
    assert main(words) == 2
    assert "has not finished a stage that exports weights" in capsys.readouterr().err


def test_a_model_leaves_the_store_with_its_card(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    run = scored_run(tmp_path, store, MODEL_RECIPE)
    words = ["recipe", "export-model", str(run.folder), "-o", str(tmp_path / "model"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "fake-weights"
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"MODEL-CARD.md", "fake.pt", "weights.json"}
    folder = str(tmp_path / "weights")
    assert main(["weights", "import", str(tmp_path / "model"), "--folder", folder]) == 0
    assert main(["weights", "verify", "fake-weights", "--folder", folder]) == 0


def test_files_of_a_stage_are_copied(tmp_path: Path, store: ArtifactStore, capsys: Capture) -> None:
    run = scored_run(tmp_path, store)
    words = ["recipe", "export-files", str(run.folder), "-o", str(tmp_path / "files"), "--stage"]
    assert main([*words, "doubled"]) == 2  # one for each case
    assert "Stages that have one: made, packed, counted, scored." in capsys.readouterr().err
    assert main([*words, "packed"]) == 0
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["all.txt"]
    assert main([*words, "packed"]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_a_store_without_runs_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert main(["recipe", "methods", "--store", str(tmp_path)]) == 2
    assert "has no runs" in capsys.readouterr().err


def test_a_job_goes_out_and_comes_back(
    tmp_path: Path, store: ArtifactStore, capsys: Capture
) -> None:
    recipe = tmp_path / "one.toml"
    recipe.write_text(ONE, encoding="utf-8")
    job, inside = tmp_path / "job", tmp_path / "job" / "store"
    words = ["--store", str(store.root)]
    assert main(["recipe", "export-job", str(recipe), *words, "-o", str(job)]) == 0
    assert main(["recipe", "run", str(job / "recipe.toml"), "--store", str(inside)]) == 0
    capsys.readouterr()
    assert main(["recipe", "import-job", str(job), *words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["published"], content["present"], len(content["runs"])) == (1, 0, 1)
    assert main(["recipe", "status", str(recipe), *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        *("cohort", "phantom-cohort"),
        *("done", "1/1"),
    ]
