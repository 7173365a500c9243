"""Runs of fake stages that end with scores somebody chose."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from FlareMRCore.data.dataset import Dataset
from FlareMRCore.events import json_values
from FlareMRCore.imaging.metrics import OrganScore
from FlareMRCore.imaging.score_summary import summarize
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.run_reading import RunReading, read_run
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stage import (
    MODEL,
    NETWORK,
    SCORES,
    Slot,
    Stage,
    StageContext,
    StageInputs,
)
from FlareMRCore.progress import SilentReporter
from FlareMRCore.weights.models import describe_file, save_entry
from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry
from Testing.core.pipeline import recipe_fakes

RECIPE = (
    recipe_fakes.RECIPE.replace("[presets.mini]", "[presets.mini]\nscored = { liver = 0.5 }")
    + """
[[stage]]
id = "scored"
use = "score"
input = "counted"
"""
)


MODEL_RECIPE = (
    RECIPE
    + """
[[stage]]
id = "published"
use = "publish"
input = "counted"
"""
)


@dataclass(frozen=True)
class Score:
    liver: float = 0.75


def score(inputs: StageInputs, parameters: Score, context: StageContext) -> tuple[RecipeCase, ...]:
    """Two cases: the liver as chosen and perfect; the spleen missing from one of them."""
    nan = float("nan")
    livers = [_organ("liver", 1, value) for value in (parameters.liver, 1.0)]
    spleens = [_organ("spleen", 3, value) for value in (0.5, nan)]
    summary = asdict(summarize([list(pair) for pair in zip(livers, spleens, strict=True)]))
    text = json.dumps(json_values({"standard": summary}))
    (context.folder / "summary.json").write_text(text, encoding="utf-8")
    (context.folder / "scores.csv").write_text("case,organ,dice\n", encoding="utf-8")
    return ()


def _organ(name: str, value: int, dice: float) -> OrganScore:
    return OrganScore(name, value, "standard", dice, dice / 2, 2.0, 4.0, 10.0, 10.0, ())


@dataclass(frozen=True)
class Publish:
    model_id: str = "fake-weights"


def publish(
    inputs: StageInputs, parameters: Publish, context: StageContext
) -> tuple[RecipeCase, ...]:
    """A description of weights that is right, of a file that no network could load."""
    file = context.folder / "fake.pt"
    file.write_text("no network", encoding="utf-8")
    coarse = NetworkSpec("flaremr-coarse", file.name, (4.0,) * 3, None, (16,) * 3, organs=True)
    save_entry(
        WeightsEntry(
            id=parameters.model_id,
            version="1",
            title="Fake weights",
            description="Of a test.",
            license="CC0-1.0",
            license_url="",
            open_license=True,
            files=(describe_file(file),),
            coarse=coarse,
            fine=None,
        ),
        context.folder,
    )
    return ()


STAGES = {
    **recipe_fakes.STAGES,
    "score": Stage(1, Score, score, SCORES, {"net": Slot(NETWORK)}),
    "publish": Stage(1, Publish, publish, MODEL, {"net": Slot(NETWORK)}),
}


def scored_run(
    folder: Path,
    store: ArtifactStore,
    text: str = RECIPE,
    *,
    preset: str = "paper",
    dataset: Dataset | None = None,
) -> RunReading:
    """The recipe `text` after a run into `store`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fake.toml").write_text(text, encoding="utf-8")
    recipe = load_recipe(str(folder / "fake.toml"), preset=preset, stages=STAGES)
    options = replace(RunOptions(), stages=STAGES)
    return read_run(run_recipe(recipe, dataset, store, SilentReporter(), options).folder)
