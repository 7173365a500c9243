import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.data.dataset import Case, Dataset, StoredFile
from FlareMRCore.errors import Cancelled, DatasetError, InputError, UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_status import prune_store, recipe_status
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.progress import SilentReporter

sys.path.insert(0, str(Path(__file__).parent))
from recipe_fakes import RECIPE, STAGES, fake_recipe

OPTIONS = RunOptions(stages=STAGES)


def _run(recipe: Recipe, store: ArtifactStore, **changes: object) -> RunResult:
    return run_recipe(recipe, None, store, SilentReporter(), replace(OPTIONS, **changes))


def _states(recipe: Recipe, store: ArtifactStore) -> dict[str, str]:
    return {s.id: s.state for s in recipe_status(recipe, None, store, OPTIONS)}


def _made(result: RunResult) -> dict[str, int]:
    content = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    return {stage: fields["made"] for stage, fields in content["stages"].items()}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return fake_recipe(tmp_path)


def test_results_are_handed_on(recipe: Recipe, store: ArtifactStore) -> None:
    result = _run(recipe, store)
    (packed,) = result.outcomes["packed"].artifacts
    text = (packed.folder / "all.txt").read_text(encoding="utf-8")
    assert text.split() == ["x", "xx", "xx", "xxxx", "xxx", "xxxxxx"]
    assert [case.case_id for case in result.outcomes["doubled"].cases] == [
        "case0",
        "case1",
        "case2",
    ]
    assert _made(result) == {"made": 1, "doubled": 3, "packed": 1, "counted": 1}
    assert set(_states(recipe, store).values()) == {"done"}


def test_the_artifact_says_where_it_comes_from(recipe: Recipe, store: ArtifactStore) -> None:
    (artifact,) = _run(recipe, store).outcomes["packed"].artifacts
    record = artifact.record
    assert record["parameters"] == {"seed": 0}
    assert record["seed"] == 0
    assert len(record["inputs"]["cases"]) == 3
    assert set(record["outputs"]) == {"all.txt"}
    assert record["versions"]["FlareMR"]
    assert (record["recipe"], record["stage_id"]) == ("fake paper paper", "packed")
    assert record["duration_s"] >= 0
    assert record["device"] == "auto"


def test_a_second_run_makes_nothing(recipe: Recipe, store: ArtifactStore) -> None:
    first = _run(recipe, store)
    second = _run(recipe, store)
    assert _made(second) == {"made": 0, "doubled": 0, "packed": 0, "counted": 0}
    assert second.outcomes == first.outcomes
    assert set(_states(recipe, store).values()) == {"cached"}


def test_only_what_depends_on_a_change_is_made_again(
    tmp_path: Path, recipe: Recipe, store: ArtifactStore
) -> None:
    _run(recipe, store)
    other = fake_recipe(tmp_path, RECIPE.replace('use = "collect"', 'use = "collect"\nseed = 1'))
    assert _states(other, store) == {
        "made": "done",
        "doubled": "done",
        "packed": "stale",
        "counted": "stale",
    }
    # The pack has the same content with another seed, so that nothing after it changes.
    assert _made(_run(other, store)) == {"made": 0, "doubled": 0, "packed": 1, "counted": 0}


def test_a_new_version_of_a_stage_makes_new_artifacts(recipe: Recipe, store: ArtifactStore) -> None:
    _run(recipe, store)
    newer = {**STAGES, "make": replace(STAGES["make"], version=2)}
    made = _made(_run(recipe, store, stages=newer))
    assert made == {"made": 1, "doubled": 0, "packed": 0, "counted": 0}


def test_an_interrupted_run_resumes_and_equals_a_straight_one(
    tmp_path: Path, recipe: Recipe, store: ArtifactStore
) -> None:
    straight = _run(recipe, ArtifactStore(tmp_path / "straight"))
    calls = iter(range(1000))
    stopping = SilentReporter(is_cancelled=lambda: next(calls) >= 12)
    with pytest.raises(Cancelled):
        run_recipe(recipe, None, store, stopping, OPTIONS)
    assert list((store.root / "tmp").iterdir()) == []
    assert _states(recipe, store)["counted"] == "interrupted"
    resumed = _run(recipe, store)
    assert _made(resumed) == {"made": 0, "doubled": 0, "packed": 0, "counted": 1}
    for stage_id, outcome in straight.outcomes.items():
        found = resumed.outcomes[stage_id].artifacts
        assert [(a.key, a.digest) for a in outcome.artifacts] == [(a.key, a.digest) for a in found]
    start = resumed.outcomes["counted"].artifacts[0].folder / "notes" / "start.txt"
    assert int(start.read_text(encoding="utf-8")) > 0


def test_a_failure_is_kept_and_forgotten(tmp_path: Path, store: ArtifactStore) -> None:
    broken = fake_recipe(
        tmp_path, RECIPE.replace('input = "made"', 'input = "made"\nfail_on = "case1"')
    )
    with pytest.raises(InputError, match="case1 is broken"):
        _run(broken, store)
    status = {s.id: s for s in recipe_status(broken, None, store, OPTIONS)}
    assert (status["doubled"].state, status["doubled"].done) == ("failed", 1)
    assert status["doubled"].detail == "case1 is broken"
    assert status["packed"].state == "waiting"
    (run,) = (store.root / "runs").iterdir()
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert content["state"] == "failed"
    assert content["error"]["code"] == "test.broken"
    assert "case1 is broken" in (run / "log.txt").read_text(encoding="utf-8")
    assert set(_states(fake_recipe(tmp_path), store).values()) <= {"done", "stale", "waiting"}


def test_parts_share_the_cases(recipe: Recipe, store: ArtifactStore) -> None:
    second = _run(recipe, store, part=(2, 2))
    assert second.missing == 1  # the cohort is made by part 1
    first = _run(recipe, store, part=(1, 2))
    assert first.missing == 1
    assert {s.id: (s.done, s.total) for s in recipe_status(recipe, None, store, OPTIONS)}[
        "doubled"
    ] == (2, 3)
    again = _run(recipe, store, part=(2, 2))
    assert again.missing == 1  # the pack
    whole = _run(recipe, store)
    assert whole.missing == 0
    assert _made(whole) == {"made": 0, "doubled": 0, "packed": 1, "counted": 1}


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist_is_refused(part: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        RunOptions(part=part)


def test_a_run_may_end_early(recipe: Recipe, store: ArtifactStore) -> None:
    assert list(_run(recipe, store, until="doubled").outcomes) == ["made", "doubled"]
    with pytest.raises(UsageError, match="no stage 'none'"):
        _run(recipe, store, until="none")


def test_cases_of_the_dataset_are_filtered(tmp_path: Path, store: ArtifactStore) -> None:
    text = RECIPE.replace('input = "made"', 'input = "dataset"\nwhere = { part = "s/train" }')
    recipe = fake_recipe(tmp_path, text)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    cases = tuple(Case(name, name, "source", "CT", {"ct": StoredFile(name)}) for name in ("a", "b"))
    dataset = Dataset(tmp_path, "d", "none", cases, {"s": {"train": ("b",)}})
    result = run_recipe(recipe, dataset, store, SilentReporter(), OPTIONS)
    assert [case.case_id for case in result.outcomes["doubled"].cases] == ["b"]
    with pytest.raises(DatasetError, match="needs a dataset"):
        _run(recipe, store)
    empty = replace(dataset, splits={})
    with pytest.raises(DatasetError, match="no case of dataset is left"):
        run_recipe(recipe, empty, store, SilentReporter(), OPTIONS)


def test_pruning_keeps_what_the_last_run_uses(
    tmp_path: Path, recipe: Recipe, store: ArtifactStore
) -> None:
    _run(recipe, store)
    old = set(store.all_keys())
    changed = fake_recipe(tmp_path, RECIPE.replace('use = "make"', 'use = "make"\ntext = "y"'))
    result = _run(changed, store)
    new = set(store.all_keys()) - old
    planned = prune_store(store, dry_run=True)
    assert set(store.all_keys()) == old | new
    assert prune_store(store).paths == planned.paths
    assert set(store.all_keys()) == new
    assert [path.name for path in (store.root / "runs").iterdir()] == [result.folder.name]
    assert _made(_run(changed, store)) == {"made": 0, "doubled": 0, "packed": 0, "counted": 0}
    with pytest.raises(UsageError, match="no store"):
        prune_store(ArtifactStore(tmp_path / "none"))
