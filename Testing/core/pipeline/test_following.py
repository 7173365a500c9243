import threading
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import Cancelled, UsageError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.following import follow_recipe
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.recipe_fakes import STAGES, Count, fake_recipe

MEETING = threading.Barrier(2, timeout=20)


def together(
    inputs: StageInputs, parameters: Count, context: StageContext
) -> tuple[RecipeCase, ...]:
    """Nobody goes on alone, as in a training: both begin together and end together."""
    MEETING.wait()
    (context.folder / "weights.txt").write_text("w", encoding="utf-8")
    MEETING.wait()
    return ()


COMMON = {**STAGES, "count": replace(STAGES["count"], run=together, common=True)}
OPTIONS = RunOptions(stages=COMMON)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def test_a_follower_joins_only_what_is_common(
    tmp_path: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader is another thread here; both run the common stage, one publishes."""
    recipe = fake_recipe(tmp_path)
    run_recipe(recipe, None, store, SilentReporter(), replace(OPTIONS, until="packed"))
    before = set(store.all_keys())
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    follower = threading.Thread(
        target=follow_recipe, args=(recipe, None, store, SilentReporter(), OPTIONS), daemon=True
    )
    follower.start()
    run_recipe(recipe, None, store, SilentReporter(), OPTIONS)
    follower.join(timeout=20)
    assert not follower.is_alive()
    (made,) = set(store.all_keys()) - before
    record = store.find(made)
    assert record is not None
    assert (record.record["stage_id"], record.record["processes"]) == ("counted", 2)
    assert list((store.root / "tmp").iterdir()) == []
    assert not (store.root / "work" / made).exists()
    assert len(list((store.root / "runs").iterdir())) == 2  # a follower writes no run


def test_a_follower_waits_until_it_is_stopped(tmp_path: Path, store: ArtifactStore) -> None:
    recipe = fake_recipe(tmp_path)
    with pytest.raises(Cancelled):
        follow_recipe(recipe, None, store, SilentReporter(lambda: True), OPTIONS)
    assert store.all_keys() == ()


def test_parts_are_not_shared_among_processes(tmp_path: Path, store: ArtifactStore) -> None:
    recipe = fake_recipe(tmp_path)
    with pytest.raises(UsageError, match="by one process alone"):
        follow_recipe(recipe, None, store, SilentReporter(), replace(OPTIONS, part=(1, 2)))
