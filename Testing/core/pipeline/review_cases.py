"""A recipe with pseudo-labels of two rounds and a review between them: small, without networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_grid
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import SilentReporter

RECIPE = """
name = "reviewed"
title = "Reviewed"
description = "Pseudo-labels, a review, a pack, and labels of the next round."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = 1
mr_cases = 3
test_cases = 0
sequences = ["t2", "venous"]
spacing_mm = 24.0

[[stage]]
id = "pseudo"
use = "guess"
input = "cohort"
where = { domain = "target" }

[[stage]]
id = "reviewed"
use = "apply-review"
input = "pseudo"

[[stage]]
id = "largest"
use = "keep-largest"
input = "reviewed"

[[stage]]
id = "packed"
use = "pack"
inputs = { cases = ["cohort", "largest"] }
spacing_mm = 24.0
where = { labeled = true }

[[stage]]
id = "pseudo-2"
use = "guess"
input = "cohort"
where = { domain = "target" }
organ = "spleen"

[[stage]]
id = "reviewed-2"
use = "apply-review"
input = "pseudo-2"
"""


@dataclass(frozen=True)
class Guess:
    organ: str = "liver"


def guess(inputs: StageInputs, parameters: Guess, context: StageContext) -> tuple[RecipeCase, ...]:
    """One box as an organ; the case of the last person gets a second, smaller piece."""
    case = inputs.case()
    geometry = read_grid(case.image.path).geometry
    array = np.zeros(geometry.shape, np.uint8)
    value = organ_table().by_id(parameters.organ).value
    array[tuple(slice(n // 4, n // 2) for n in array.shape)] = value
    if "1003" in case.case_id:
        array[-3, -3, -6:-1] = value
    write_label_map(context.folder / "labels.nii.gz", LabelMap(array, geometry, organ_table()))
    labels = context.own_file("labels.nii.gz")
    annotated = tuple(label.id for label in organ_table())
    made = replace(case, label_map=labels, label_source="predicted", annotated=annotated)
    return (made,)


TABLE = {**STAGES, "guess": Stage(1, Guess, guess, CASES, {"cases": Slot(CASES)}, CASE)}


def run_reviewed(folder: Path, until: str = "") -> RunResult:
    """Run the recipe in the store below `folder`."""
    path = folder / "reviewed.toml"
    path.write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(str(path), stages=TABLE)
    options = RunOptions(device="cpu", threads=1, stages=TABLE, until=until)
    return run_recipe(recipe, None, store_in(folder), SilentReporter(), options)


def store_in(folder: Path) -> ArtifactStore:
    """The store below `folder`."""
    return ArtifactStore(folder / "store")


def corrected_file(case: RecipeCase, path: Path, organ: str = "stomach") -> Path:
    """A label map on the grid of the case that says `organ` in one box."""
    geometry = read_grid(case.image.path).geometry
    array = np.zeros(geometry.shape, np.uint8)
    array[1:4, 1:4, 1:4] = organ_table().by_id(organ).value
    write_label_map(path, LabelMap(array, geometry, organ_table()))
    return path
