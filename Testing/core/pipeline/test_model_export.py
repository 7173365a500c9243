"""Weights of a recipe of two steps: out of the store with a card, and into another one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.job_export import export_job
from FlareMRCore.pipeline.job_import import import_job
from FlareMRCore.pipeline.model_export import export_model
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_status import recipe_status
from FlareMRCore.pipeline.run_reading import RunReading, read_run
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.progress import SilentReporter
from FlareMRCore.weights.store import WeightsStore

pytestmark = pytest.mark.torch
REPOSITORY = Path(__file__).resolve().parents[3]
RECIPE = Path(__file__).with_name("two-steps.toml")
OPTIONS = RunOptions(device="cpu", threads=1)
REPORTER = SilentReporter()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunReading:
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    recipe = load_recipe(str(RECIPE))
    return read_run(run_recipe(recipe, None, store, REPORTER, OPTIONS).folder)


def test_the_card_tells_of_data_and_scores(run: RunReading, tmp_path: Path) -> None:
    entry = export_model(run, tmp_path / "model")
    card = (tmp_path / "model" / "MODEL-CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Two steps\n")
    assert "* 2 patients, CT, source domain" in card
    assert "target domain" not in card  # the patient of the test was not trained on
    assert "| license | CC0-1.0 |" in card
    assert "Stage scores: 1 case, convention 'standard'." in card
    assert "* coarse (train-segmentation):" in card
    assert entry.files[0].sha256 in card
    assert set(entry.scores) == {"DSC", "NSD", "cases"}
    assert entry.provenance["recipe"] == "two-steps"


def test_weights_import_takes_the_folder(run: RunReading, tmp_path: Path) -> None:
    export_model(run, tmp_path / "model", stage_id="export")
    weights = WeightsStore(folder=tmp_path / "weights")
    (entry,) = weights.import_weights(tmp_path / "model")
    assert (entry.id, weights.state("two-steps")) == ("two-steps", "installed")
    assert entry.scores["cases"] == 1
    assert not weights.verify("two-steps")


def test_only_finished_models_are_exported(run: RunReading, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not finished a stage that exports weights"):
        export_model(replace(run, stages=run.stages[:4]), tmp_path / "none")
    with pytest.raises(UsageError, match="not finished stage 'cohort'"):
        export_model(run, tmp_path / "none", stage_id="cohort")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="not an empty folder"):
        export_model(run, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="run.sh is a bash script")
def test_two_processes_run_an_exported_job(tmp_path: Path) -> None:
    """Under torchrun, both trainings of the recipe; then the results are taken over here."""
    store = ArtifactStore(tmp_path / "store")
    recipe = load_recipe(str(RECIPE))
    job = tmp_path / "job"
    export_job(recipe, None, store, job, reporter=REPORTER)
    environment = {
        **{"PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        **{"PROCESSES": "2", "DEVICE": "cpu"},
    }
    done = subprocess.run(
        ["bash", str(job / "run.sh")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Run: ") == 1  # one of them tells
    imported = import_job(job, store, REPORTER)
    assert len(imported.runs) == 1
    states = {s.id: s.state for s in recipe_status(recipe, None, store, OPTIONS)}
    assert set(states.values()) == {"done"}
    records = {
        stage.id: found.record
        for stage in read_run(imported.runs[0]).stages
        if (found := store.find(stage.keys[0]))
    }
    assert {stage: record["processes"] for stage, record in records.items()} == {
        **dict.fromkeys(("cohort", "packed", "export", "segmented", "scores"), 1),
        **dict.fromkeys(("base", "coarse"), 2),
    }
    assert list((job / "store" / "tmp").iterdir()) == []
