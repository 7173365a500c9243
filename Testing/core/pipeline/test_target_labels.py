"""No training reads a label of the target: the files that lie there cannot be read at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareMRCore.data.dataset import Case, Dataset, StoredFile
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import DatasetError, InputError
from FlareMRCore.imaging.resampling import resample_labels_to
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.case_labels import read_case_labels, with_labels
from FlareMRCore.pipeline.recipe import Recipe, recipe_names
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.pipeline.stage import (
    CASE,
    CASES,
    MODEL,
    NETWORK,
    Stage,
    StageContext,
    StageInputs,
)
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_images import PhantomCohortParameters
from FlareMRCore.progress import SilentReporter

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from adaptation_recipes import changed_recipe, needed_recipe

FEW = {"steps": 2, "warmup_steps": 1, "ct_cases": 2, "mr_cases": 2, "test_cases": 1}
"""Trainings of two steps on few people: what is read is the same."""
QUICK = ("contrast-randomized", "ct-only")
GRID = phantom_geometry(12.0)
ORGANS = tuple(organ.id for organ in organ_table())
FIVE = ("liver", "right_kidney", "spleen", "pancreas", "left_kidney")
FULL = (ORGANS, ORGANS)
PARTIAL = (ORGANS, ORGANS, *((*FIVE, "tumor"),) * 2, ("tumor",), ("tumor",), ())
"""What is annotated in each CT of a dataset."""


@dataclass
class _Poison:
    """Stages in which target cases come with labels that no reader understands.

    Where a network would predict, the labels of a source case are predicted: two steps teach
    nothing that a filter would let pass.
    """

    folder: Path
    source_labels: list[LabelMap] = field(default_factory=list)

    def stages(self) -> Mapping[str, Stage]:
        """The table of stages."""
        cohort = replace(STAGES["phantom-cohort"], run=self._cohort)
        fakes = {n: replace(s, run=self._predict) for n, s in STAGES.items() if _predicts(s)}
        return {**STAGES, **fakes, "phantom-cohort": cohort}

    def labels_of(self, case_id: str) -> Path:
        """A file that is no label map."""
        path = self.folder / f"{case_id}.nii.gz"
        path.write_bytes(f"no label map of {case_id}".encode())
        return path

    def _cohort(
        self, inputs: StageInputs, parameters: Any, context: StageContext
    ) -> tuple[RecipeCase, ...]:
        cases = STAGES["phantom-cohort"].run(inputs, parameters, context)
        return tuple(self._poisoned(case, context) for case in cases)

    def _poisoned(self, case: RecipeCase, context: StageContext) -> RecipeCase:
        if case.domain == "source":
            self.source_labels.append(read_case_labels(case))
            return case
        name = f"{case.case_id}/{self.labels_of(case.case_id).name}"
        self.labels_of(case.case_id).rename(context.folder / name)
        labels = context.own_file(name)
        return replace(case, label_map=labels, label_source="manual", annotated=ORGANS)

    def _predict(
        self, inputs: StageInputs, parameters: Any, context: StageContext
    ) -> tuple[RecipeCase, ...]:
        case = inputs.case()
        grid = read_volume(case.image.path).geometry
        labels = resample_labels_to(self.source_labels[0], grid)
        return (with_labels(case, labels, context, source="predicted", annotated=ORGANS),)


def _predicts(stage: Stage) -> bool:
    kinds = {slot.kind for slot in stage.slots.values()}
    return stage.scope == CASE and stage.output == CASES and bool(kinds & {MODEL, NETWORK})


def _shortened(value: Any) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {part.name: _shortened(getattr(value, part.name)) for part in fields(value)}
    few = {name: min(FEW[name], parts[name]) for name in FEW if name in parts}
    return replace(value, **{**parts, **few})


def _trained_part(recipe: Recipe) -> Recipe:
    """Everything that the weights of a recipe are made of, in two steps."""
    stages = tuple(replace(s, parameters=_shortened(s.parameters)) for s in recipe.stages)
    models = [s.id for s in stages if STAGES[s.use].output == MODEL]
    return needed_recipe(replace(recipe, stages=stages), models)


def _run(recipe: Recipe, poison: _Poison, dataset: Dataset | None = None) -> set[str]:
    """Run, and return the kinds of stages that ran."""
    store = ArtifactStore(poison.folder / "store")
    options = RunOptions(device="cpu", threads=1, stages=poison.stages())
    run_recipe(recipe, dataset, store, SilentReporter(), options)
    return {spec.use for spec in recipe.stages}


def _dataset(poison: _Poison, source: tuple[tuple[str, ...], ...]) -> Dataset:
    """Two people in MR with poisoned labels, of which one may be used for the test, and CT.

    Args:
        poison: writes the labels of the targets.
        source: what is annotated in each CT.
    """
    cases = [_source(poison, seed, annotated) for seed, annotated in enumerate(source)]
    for seed, sequence in ((100, "t2_fs"), (101, "venous")):
        volume, _ = make_phantom(seed, sequence, geometry=GRID)
        name = f"target-{seed}"
        write_volume(poison.folder / f"{name}-image.nii.gz", volume)
        labels = StoredFile(poison.labels_of(name).name)
        images = {sequence: StoredFile(f"{name}-image.nii.gz")}
        cases.append(Case(name, name, "target", "MR", images, labels, "manual", ORGANS))
    names = tuple(case.patient_id for case in cases)
    parts = {"train": names[:-1], "test": names[-1:]}
    return Dataset(poison.folder, "poisoned", "none", tuple(cases), {"default": parts})


def _source(poison: _Poison, seed: int, annotated: tuple[str, ...]) -> Case:
    volume, label_map = make_phantom(seed, "ct", geometry=GRID, tumors="tumor" in annotated)
    name = f"source-{seed}"
    write_volume(poison.folder / f"{name}-image.nii.gz", volume)
    images = {"ct": StoredFile(f"{name}-image.nii.gz")}
    if not annotated:
        return Case(name, name, "source", "CT", images)
    kept = np.isin(label_map.array, structure_table().subset(annotated).values)
    shown = LabelMap(label_map.array * kept, label_map.geometry, label_map.labels)
    write_label_map(poison.folder / f"{name}.nii.gz", shown)
    poison.source_labels.append(shown)
    labels = StoredFile(f"{name}.nii.gz")
    return Case(name, name, "source", "CT", images, labels, "manual", annotated)


def _shows_targets(name: str) -> bool:
    """Whether the recipe's own cohort has MR; others learn from partially labeled CT alone."""
    cohort = load_recipe(name, preset="mini").stages[0].parameters
    return isinstance(cohort, PhantomCohortParameters) and cohort.test_cases > 0


def _named(names: tuple[str, ...]) -> list[Any]:
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names]


ADAPTING = tuple(name for name in recipe_names() if _shows_targets(name))


@pytest.mark.parametrize("name", _named(ADAPTING))
def test_no_recipe_opens_the_labels_of_a_target(name: str, tmp_path: Path) -> None:
    recipe = _trained_part(load_recipe(name, preset="mini"))
    assert "phantom-cohort" in _run(recipe, _Poison(tmp_path))


@pytest.mark.parametrize("name", _named(recipe_names()))
def test_no_recipe_opens_the_labels_of_targets_of_a_dataset(name: str, tmp_path: Path) -> None:
    poison = _Poison(tmp_path)
    recipe = _trained_part(load_recipe(name, preset="small"))
    assert any("dataset" in names for s in recipe.stages for names in s.inputs.values())
    _run(recipe, poison, _dataset(poison, FULL if name in ADAPTING else PARTIAL))


def test_a_training_on_labels_of_a_target_is_refused_or_fails(tmp_path: Path) -> None:
    recipe = _trained_part(load_recipe("ct-only", preset="mini"))
    everything = {"pack-coarse": {"where": {"domain": ""}}}
    with pytest.raises(DatasetError, match="which no training may see"):
        _run(changed_recipe(recipe, everything), _Poison(tmp_path))
    allowed = {"pack-coarse": {"where": {"domain": ""}, "target_labels": True}}
    with pytest.raises(InputError):
        _run(changed_recipe(recipe, allowed), _Poison(tmp_path))
