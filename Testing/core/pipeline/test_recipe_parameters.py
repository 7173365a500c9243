"""Parameters of a recipe with unit, default and origin; and changing them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import RecipeError, UsageError
from FlareMRCore.pipeline.recipe_editing import Change, edit_recipe, parse_change
from FlareMRCore.pipeline.recipe_parameters import (
    ParameterInfo,
    attribute_texts,
    describe_recipe,
)
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_writing import recipe_toml
from FlareMRCore.training.parameters import TrainingParameters
from Testing.core.pipeline.recipe_fakes import RECIPE, STAGES, fake_recipe

TRAINING = """
name = "one"
title = "One"
description = "One training."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = 2

[[stage]]
id = "pack"
use = "pack"
input = "cohort"
spacing_mm = 6.0

[[stage]]
id = "train"
use = "train-segmentation"
inputs = { packs = "pack" }
from = "training/coarse.toml"
steps = 7

[presets.mini.train.sampling]
rotation_deg = 3.0

[profiles.safe.train]
seed = 5
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = tmp_path / "one.toml"
    found.write_text(TRAINING, encoding="utf-8")
    return str(found)


def parameters(
    path: str, preset: str = "paper", profile: str = "paper"
) -> dict[str, ParameterInfo]:
    info = describe_recipe(path, preset=preset, profile=profile)
    return {f"{stage.id}.{p.name}": p for stage in info.stages for p in stage.parameters}


def test_units_come_from_names_and_help_from_docstrings(path: str) -> None:
    found = parameters(path)
    assert (found["pack.spacing_mm"].unit, found["pack.spacing_mm"].default) == ("mm", None)
    assert found["train.sampling.rotation_deg"].unit == "degrees"
    assert found["train.builder"].unit == ""
    assert "optimizer steps" in found["train.steps"].help
    assert attribute_texts(TrainingParameters)["seed"] == found["train.seed"].help


def test_every_value_names_where_it_comes_from(path: str) -> None:
    found = parameters(path, "mini", "safe")
    origins = {
        "cohort.ct_cases": "recipe",
        "cohort.mr_cases": "default",
        "train.steps": "recipe",
        "train.builder": "training/coarse.toml",
        "train.sampling.rotation_deg": "preset mini",
        "train.seed": "profile safe",
    }
    assert {name: found[name].origin for name in origins} == origins
    assert found["train.sampling.rotation_deg"].value == 3.0
    assert parameters(path)["train.sampling.rotation_deg"].origin != "preset mini"
    assert found["cohort.mr_cases"].value == found["cohort.mr_cases"].default


def test_changes_are_read_back_from_the_file(path: str, tmp_path: Path) -> None:
    changes = [
        Change("train", "sampling.rotation_deg", "1.5"),
        Change("train", "steps", "9"),
        Change("pack", "spacing_mm", "5"),
    ]
    edited = edit_recipe(load_recipe(path, preset="mini"), changes, name="mine")
    assert edited.name == "mine"
    saved = tmp_path / "mine.toml"
    saved.write_text(recipe_toml(edited), encoding="utf-8")
    assert load_recipe(str(saved)) == edited
    found = parameters(str(saved))
    assert found["train.sampling.rotation_deg"].value == 1.5
    assert found["train.steps"].value == 9
    assert found["pack.spacing_mm"].value == 5.0
    assert found["train.seed"].value == parameters(path)["train.seed"].value


def test_an_empty_value_gives_the_default_back(tmp_path: Path) -> None:
    recipe = fake_recipe(tmp_path, preset="mini")
    edited = edit_recipe(recipe, [Change("counted", "steps", "")], stages=STAGES)
    assert edited.stages[-1].parameters.steps == 4  # type: ignore[attr-defined]
    assert replace(edited, stages=()) == replace(
        recipe, stages=(), preset="paper", presets=("paper",), profiles=("paper",)
    )


def test_all_mistakes_are_told_at_once(path: str) -> None:
    changes = [
        Change("trayn", "steps", "9"),
        Change("train", "steps", "many"),
        Change("train", "sampling.spacing_cm", "1"),
        Change("pack", "spacing_mm", "[1"),
        Change("pack", "spacing_mm.axial", "1"),
    ]
    with pytest.raises(RecipeError) as caught:
        edit_recipe(load_recipe(path), changes)
    text = str(caught.value)
    assert "there is no stage 'trayn' (did you mean 'train'?)" in text
    assert "'steps' should be a whole number, is 'many'" in text
    assert "sampling.spacing_cm" in text
    assert "'spacing_mm' should be a number, is '[1'" in text
    assert "'spacing_mm' is no table" in text


@pytest.mark.parametrize("text", ["steps=3", "train.steps", ".steps=3", "train.=3"])
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_change(text)
    assert parse_change("a.b.c = [1, 2]") == Change("a", "b.c", "[1, 2]")


def test_inputs_and_choice_of_cases_are_told(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    chosen = RECIPE.replace('input = "made"', 'input = "made"\nwhere = { domain = "target" }')
    path.write_text(chosen, encoding="utf-8")
    info = describe_recipe(str(path), stages=STAGES)
    stage = info.stages[1]
    assert dict(stage.inputs) == {"cases": ("made",)}
    assert stage.where == {"domain": "target"}
    assert (stage.output, stage.scope) == ("cases", "case")
    assert info.presets == ("paper", "mini")


def test_published_recipes_name_their_publication() -> None:
    info = describe_recipe("li2024", preset="mini")
    assert any("Li" in text and "http" in text for text in info.references)
    assert any(stage.references for stage in info.stages)
    assert all(stage.help for stage in info.stages)
