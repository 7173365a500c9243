import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.data.dataset import Case, Dataset, StoredFile, sha256_of
from FlareMRCore.data.dataset_manifest import load_dataset
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.job_export import ExportOptions, export_job
from FlareMRCore.pipeline.job_import import import_job
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_status import recipe_status
from FlareMRCore.pipeline.run_reading import runs_of
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.recipe_fakes import RECIPE, STAGES, fake_recipe

EXPORT = ExportOptions(stages=STAGES)
OPTIONS = RunOptions(stages=STAGES)
REPORTER = SilentReporter()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _run_there(job: Path, dataset: Dataset | None = None, **changes: object) -> RunResult:
    """What run.sh does, with the fake stages."""
    recipe = load_recipe(str(job / "recipe.toml"), stages=STAGES)
    options = replace(OPTIONS, **changes)
    return run_recipe(recipe, dataset, ArtifactStore(job / "store"), REPORTER, options)


def test_a_job_that_ran_elsewhere_appears_as_done(tmp_path: Path, store: ArtifactStore) -> None:
    recipe = fake_recipe(tmp_path, preset="mini")
    straight = run_recipe(recipe, None, ArtifactStore(tmp_path / "x"), REPORTER, OPTIONS)
    export_job(recipe, None, store, tmp_path / "job", reporter=REPORTER, options=EXPORT)
    elsewhere = tmp_path / "elsewhere" / "job"
    shutil.copytree(tmp_path / "job", elsewhere)
    _run_there(elsewhere)
    imported = import_job(elsewhere, store, REPORTER)
    assert (imported.recipe, imported.preset) == ("fake", "mini")
    assert len(imported.artifacts.published) == 5
    states = {s.id: s.state for s in recipe_status(recipe, None, store, OPTIONS)}
    assert set(states.values()) == {"done"}
    (run,) = runs_of(store.root)
    assert (run.recipe, run.preset, run.state, run.words) == ("fake", "mini", "done", ())
    for stage_id, outcome in straight.outcomes.items():
        for artifact in outcome.artifacts:
            found = store.find(artifact.key)
            assert found is not None, stage_id
            assert found.digest == artifact.digest


def test_two_parts_elsewhere_equal_one_run_here(tmp_path: Path, store: ArtifactStore) -> None:
    recipe = fake_recipe(tmp_path)
    straight = ArtifactStore(tmp_path / "straight")
    run_recipe(recipe, None, straight, REPORTER, OPTIONS)
    job = tmp_path / "job"
    export_job(recipe, None, store, job, reporter=REPORTER, options=EXPORT)
    assert _run_there(job, part=(1, 2)).missing == 1
    assert _run_there(job, part=(2, 2)).missing == 1  # the pack is made by part 1, or by all
    assert _run_there(job).missing == 0
    imported = import_job(job, store, REPORTER)
    assert len(imported.runs) == 3
    keys = straight.all_keys()
    assert store.all_keys() == keys
    for key in keys:
        one, other = straight.find(key), store.find(key)
        assert one is not None
        assert other is not None
        assert one.digest == other.digest


def test_importing_twice_changes_nothing(tmp_path: Path, store: ArtifactStore) -> None:
    job = tmp_path / "job"
    export_job(fake_recipe(tmp_path), None, store, job, reporter=REPORTER, options=EXPORT)
    _run_there(job)
    first = import_job(job, store, REPORTER)
    second = import_job(job, store, REPORTER)
    assert second.artifacts.published == ()
    assert set(second.artifacts.present) == set(first.artifacts.published)
    assert second.runs == first.runs
    assert list((store.root / "tmp").iterdir()) == []


def test_what_is_here_is_never_overwritten(tmp_path: Path, store: ArtifactStore) -> None:
    job = tmp_path / "job"
    recipe = fake_recipe(tmp_path)
    export_job(recipe, None, store, job, reporter=REPORTER, options=EXPORT)
    _run_there(job)
    here = run_recipe(recipe, None, store, REPORTER, OPTIONS).outcomes["counted"].artifacts[0]
    record = here.folder / "artifact.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**content, "digest": "0" * 64}), encoding="utf-8")
    reporter = SilentReporter()
    assert import_job(job, store, reporter).artifacts.different == (here.key,)
    assert json.loads(record.read_text(encoding="utf-8"))["digest"] == "0" * 64
    assert "1 artifacts were made here with another result" in reporter.messages[0]


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "record", "key", "digest"])
def test_a_damaged_artifact_stops_the_import(
    tmp_path: Path, store: ArtifactStore, damage: str
) -> None:
    job = tmp_path / "job"
    export_job(fake_recipe(tmp_path), None, store, job, reporter=REPORTER, options=EXPORT)
    artifact = _run_there(job).outcomes["packed"].artifacts[0]
    record = json.loads((artifact.folder / "artifact.json").read_text(encoding="utf-8"))
    if damage == "removed":
        (artifact.folder / "all.txt").unlink()
    elif damage in ("changed", "added"):
        name = "all.txt" if damage == "changed" else "more.txt"
        (artifact.folder / name).write_text("y", encoding="utf-8")
    elif damage == "record":
        (artifact.folder / "artifact.json").write_text("{}", encoding="utf-8")
    elif damage == "key":
        changed = {**record, "parameters": {"seed": 8}}
        (artifact.folder / "artifact.json").write_text(json.dumps(changed), encoding="utf-8")
    else:
        changed = {**record, "digest": "0" * 64}
        (artifact.folder / "artifact.json").write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(DatasetError, match=f"(?s)1 problem.*{artifact.key[:12]}"):
        import_job(job, store, REPORTER)
    assert store.all_keys() == ()
    assert not (store.root / "runs").exists()


def test_finished_stages_and_reviews_go_along(tmp_path: Path, store: ArtifactStore) -> None:
    recipe = fake_recipe(tmp_path)
    run_recipe(recipe, None, store, REPORTER, replace(OPTIONS, until="packed"))
    (store.root / "reviews").mkdir()
    (store.root / "reviews" / "a.json").write_text("{}", encoding="utf-8")
    job = tmp_path / "job"
    sent = export_job(recipe, None, store, job, reporter=REPORTER, options=EXPORT)
    assert len(sent.published) == 5
    assert (job / "store" / "reviews" / "a.json").is_file()
    content = json.loads((_run_there(job).folder / "run.json").read_text(encoding="utf-8"))
    assert {k: v["made"] for k, v in content["stages"].items()} == {
        **dict.fromkeys(("made", "doubled", "packed"), 0),
        "counted": 1,
    }
    bare = replace(EXPORT, finished=False)
    assert not export_job(
        recipe, None, store, tmp_path / "bare", reporter=REPORTER, options=bare
    ).published


def _dataset(folder: Path) -> Dataset:
    (folder / "images").mkdir(parents=True)
    for name in ("a", "b"):
        (folder / "images" / name).write_text(name, encoding="utf-8")
    files = {name: StoredFile(f"images/{name}") for name in ("a", "b")}
    cases = (
        Case("a", "a", "source", "CT", {"ct": files["a"]}, files["b"], "manual", ("liver",)),
        Case("b", "b", "target", "MR", {"t2": files["b"]}),
    )
    return Dataset(folder, "two", "none", cases, {"s": {"train": ("a",), "test": ("b",)}})


def test_the_manifest_has_relative_paths_and_hashes(tmp_path: Path, store: ArtifactStore) -> None:
    dataset = _dataset(tmp_path / "there")
    recipe = fake_recipe(tmp_path, RECIPE.replace('input = "made"', 'input = "dataset"'))
    job = tmp_path / "job"
    options = replace(EXPORT, copy_images=True)
    export_job(recipe, dataset, store, job, reporter=REPORTER, options=options)
    found = load_dataset(job / "data" / "dataset.json")
    assert found.splits == dataset.splits
    assert [file.path for case in found.cases for file in case.files] == [
        *("images/a", "images/b"),
        "images/b",
    ]
    expected = sha256_of(tmp_path / "there" / "images" / "a")
    assert found.cases[0].images["ct"].sha256 == expected
    assert str(tmp_path) not in "".join(
        path.read_text(encoding="utf-8") for path in job.rglob("*") if path.is_file()
    )
    shutil.rmtree(tmp_path / "there" / "images")  # the copies are enough
    outcome = _run_there(job, found).outcomes["doubled"]
    assert [case.case_id for case in outcome.cases] == ["a", "b"]


def test_without_images_only_their_names_go_along(tmp_path: Path, store: ArtifactStore) -> None:
    job = tmp_path / "job"
    dataset = _dataset(tmp_path / "there")
    export_job(fake_recipe(tmp_path), dataset, store, job, reporter=REPORTER, options=EXPORT)
    assert [path.name for path in (job / "data").rglob("*")] == ["dataset.json"]
    assert "beside data/dataset.json" in (job / "README.md").read_text(encoding="utf-8")


def test_the_scripts_are_complete(tmp_path: Path, store: ArtifactStore) -> None:
    job = tmp_path / "job"
    dataset = _dataset(tmp_path / "there")
    export_job(fake_recipe(tmp_path), dataset, store, job, reporter=REPORTER, options=EXPORT)
    for name in ("run.sh", "submit.sbatch"):
        text = (job / name).read_text(encoding="utf-8")
        subprocess.run(["bash", "-n", str(job / name)], check=True)
        assert "recipe run recipe.toml --store store --dataset" in text
        assert "--nproc-per-node" in text
        assert not re.search(r"<[a-z]|@[A-Z]", text)
    assert "#SBATCH --requeue" in (job / "submit.sbatch").read_text(encoding="utf-8")
    assert "train.sbatch" not in (job / "submit.sbatch").read_text(encoding="utf-8")
    assert "@" not in (job / "README.md").read_text(encoding="utf-8")


def test_folders_that_are_no_job_are_refused(tmp_path: Path, store: ArtifactStore) -> None:
    with pytest.raises(UsageError, match="no exported job"):
        import_job(tmp_path, store, REPORTER)
    (tmp_path / "job.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(UsageError, match="format 2 is unknown"):
        import_job(tmp_path, store, REPORTER)
    recipe = fake_recipe(tmp_path / "recipe")
    with pytest.raises(UsageError, match="not an empty folder"):
        export_job(recipe, None, store, tmp_path, reporter=REPORTER, options=EXPORT)
    job = tmp_path / "job"
    export_job(recipe, None, store, job, reporter=REPORTER, options=EXPORT)
    with pytest.raises(UsageError, match="has not run"):
        import_job(job, store, REPORTER)
