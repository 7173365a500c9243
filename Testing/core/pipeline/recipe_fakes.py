"""Stages that count how often they run, and recipes of them: no images, no networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.stage import (
    CASE,
    CASES,
    NETWORK,
    PACK,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    TrainingPlan,
)


@dataclass(frozen=True)
class Make:
    count: int = 3
    text: str = "x"


@dataclass(frozen=True)
class Double:
    times: int = 2
    fail_on: str = ""


@dataclass(frozen=True)
class Collect:
    seed: int = 0


@dataclass(frozen=True)
class Count:
    steps: int = 4


def make(inputs: StageInputs, parameters: Make, context: StageContext) -> tuple[RecipeCase, ...]:
    cases = []
    for number in range(parameters.count):
        name = f"case{number}.txt"
        (context.folder / name).write_text(parameters.text * (number + 1), encoding="utf-8")
        domain = "source" if number % 2 == 0 else "target"
        images = {"text": context.own_file(name)}
        cases.append(RecipeCase(f"case{number}", f"p{number}", domain, "MR", images))
    return tuple(cases)


def double(
    inputs: StageInputs, parameters: Double, context: StageContext
) -> tuple[RecipeCase, ...]:
    """Adds a label map; the image stays where the input has it."""
    case = inputs.case()
    if case.case_id == parameters.fail_on:
        raise InputError(f"{case.case_id} is broken", code="test.broken")
    text = case.image.path.read_text(encoding="utf-8") * parameters.times
    (context.folder / "labels.txt").write_text(text, encoding="utf-8")
    return (replace(case, label_map=context.own_file("labels.txt"), label_source="predicted"),)


def collect(
    inputs: StageInputs, parameters: Collect, context: StageContext
) -> tuple[RecipeCase, ...]:
    files = [f for cases in inputs.cases.values() for case in cases for f in case.files]
    text = "\n".join(file.path.read_text(encoding="utf-8") for file in files)
    (context.folder / "all.txt").write_text(text, encoding="utf-8")
    return ()


def count(inputs: StageInputs, parameters: Count, context: StageContext) -> tuple[RecipeCase, ...]:
    """Slow work that keeps what it has done in ``context.work``."""
    state = context.work / "state.txt"
    done = len(state.read_text(encoding="utf-8")) if state.exists() else 0
    for step in range(done, parameters.steps):
        context.reporter.advance("count", step, parameters.steps)
        with state.open("a", encoding="utf-8") as file:
            file.write("i")
    (context.folder / "weights.txt").write_text(state.read_text(encoding="utf-8"), encoding="utf-8")
    (context.folder / "notes").mkdir()
    (context.folder / "notes" / "start.txt").write_text(str(done), encoding="utf-8")
    return ()


def plan(parameters: Count) -> TrainingPlan:
    return TrainingPlan("flaremr-base", (16, 16, 16), parameters.steps)


STAGES: Mapping[str, Stage] = {
    "make": Stage(1, Make, make, CASES),
    "double": Stage(1, Double, double, CASES, {"cases": Slot(CASES)}, CASE),
    "collect": Stage(1, Collect, collect, PACK, {"cases": Slot(CASES, many=True)}),
    "count": Stage(1, Count, count, NETWORK, {"pack": Slot(PACK)}, resumable=True, training=plan),
}

RECIPE = """
name = "fake"
title = "Fake"
description = "Counts."

[[stage]]
id = "made"
use = "make"

[[stage]]
id = "doubled"
use = "double"
input = "made"

[[stage]]
id = "packed"
use = "collect"
inputs = { cases = ["doubled"] }

[[stage]]
id = "counted"
use = "count"
input = "packed"

[presets.mini]
made = { count = 2 }
counted = { steps = 1 }

[profiles.safe.doubled]
times = 3
"""


def fake_recipe(folder: Path, text: str = RECIPE, preset: str = "paper") -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fake.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path), preset=preset, stages=STAGES)
