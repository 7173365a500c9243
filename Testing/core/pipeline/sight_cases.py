"""A recipe with a translation, registrations and a filter, all of them stand-ins or quick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.pipeline.filter_report import (
    FilteredCase,
    FilterReport,
    Finding,
    write_filter_report,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.review_cases import TABLE, store_in

RECIPE = """
name = "sights"
title = "Sights"
description = "A fake, a registration and a filter."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = 1
mr_cases = 2
test_cases = 0
sequences = ["t2", "venous"]
spacing_mm = 24.0

[[stage]]
id = "fakes"
use = "translate-style"
input = "cohort"
where = { domain = "source" }

[[stage]]
id = "aligned"
use = "register"
inputs = { cases = "cohort", references = "cohort" }
where = { domain = "target" }
kind = "translation"
partner = "first"
labels = "drop"

[[stage]]
id = "kept"
use = "judge"
input = "cohort"
"""


@dataclass(frozen=True)
class Nothing:
    pass


def fake(inputs: StageInputs, parameters: Nothing, context: StageContext) -> tuple[RecipeCase, ...]:
    """The negative of the image, as if it were translated."""
    case = inputs.case()
    volume = read_volume(case.image.path)
    write_volume(context.folder / "fake.nii.gz", Volume(-volume.array, volume.geometry))
    images = {"fake": context.own_file("fake.nii.gz")}
    made = replace(case, case_id=f"{case.case_id}-fake", domain="synthetic", images=images)
    return (made,)


def judge(
    inputs: StageInputs, parameters: Nothing, context: StageContext
) -> tuple[RecipeCase, ...]:
    """Rejects the second case because of its liver."""
    lines = []
    for number, case in enumerate(inputs.cases["cases"]):
        kept = number != 1
        finding = Finding("volume-high", "liver", kept, 9.0, 1.0, 5.0, "mL", "9 mL is too much.")
        words = "liver: 9 mL is too much."
        lines.append(
            FilteredCase(case.case_id, case.patient_id, case.sequence, kept, words, (finding,))
        )
    write_filter_report(context.folder, FilterReport("volume-ratio", tuple(lines)))
    return inputs.cases["cases"]


STAND_INS = {
    "translate-style": Stage(1, Nothing, fake, CASES, {"cases": Slot(CASES)}, CASE),
    "judge": Stage(1, Nothing, judge, CASES, {"cases": Slot(CASES)}),
}


def run_sights(folder: Path) -> None:
    """Run the recipe in the store below `folder`."""
    path = folder / "sights.toml"
    path.write_text(RECIPE, encoding="utf-8")
    table = {**TABLE, **STAND_INS}
    recipe = load_recipe(str(path), stages=table)
    options = RunOptions(device="cpu", threads=1, stages=table)
    run_recipe(recipe, None, store_in(folder), SilentReporter(), options)
