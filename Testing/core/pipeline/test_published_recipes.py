"""The published systems as recipes: complete in every preset and profile, of the published size."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import pytest

from FlareMRCore.imaging.filter_profiles import PROFILES as FILTERS
from FlareMRCore.pipeline import recipe_parsing
from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.recipe_sanity import check_networks
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_filters import FilterAnatomyParameters
from FlareMRCore.pipeline.stages_kidney import FilterKidneyParameters
from FlareMRCore.pipeline.stages_registration import RegisterParameters
from FlareMRCore.pipeline.stages_stacks import UnflipParameters
from FlareMRCore.progress import SilentReporter

DARNET, CYCLEGAN = 19_023_832, 28_256_644
BIG, COARSE, FINE = 20_470_332, 6_678_568, 6_677_528
DEFAULT, SMALL = 30_713_158, 5_630_488
CYCLEGAN_3D, MEAN_TEACHER = 90_318_724, 33_891_384
SIZES = {
    "li2024": (DARNET, BIG, BIG, COARSE, FINE),
    "zhu2024": (CYCLEGAN, *(DEFAULT,) * 3, SMALL),
    "he2024": (CYCLEGAN_3D, *(MEAN_TEACHER,) * 5),
}
PROFILES = {
    "li2024": ("paper", "code", "safe"),
    "zhu2024": ("paper", "safe"),
    "he2024": ("paper", "code", "safe"),
}
TRAIN = "default/train"
load_recipe = functools.cache(recipe_parsing.load_recipe)  # each one reads all its variants


def _variants() -> list[tuple[str, str, str]]:
    return [
        (name, preset, profile)
        for name, profiles in PROFILES.items()
        for preset, profile in itertools.product(("paper", "small", "mini"), profiles)
    ]


def _specs(recipe: Recipe) -> Mapping[str, StageSpec]:
    return {spec.id: spec for spec in recipe.stages}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_networks_have_the_published_size(name: str) -> None:
    checks = check_networks(load_recipe(name), SilentReporter(), probe=False)
    assert tuple(check.parameters for check in checks) == SIZES[name]


def test_the_published_networks_are_trained_at_the_published_patches() -> None:
    plans = {
        spec.id: (plan.builder, plan.shape)
        for name in SIZES
        for spec in load_recipe(name).stages
        if (make := STAGES[spec.use].training) and (plan := make(spec.parameters))
    }
    assert plans["train-big-0"] == plans["train-big-1"] == ("li2024-big", (96, 256, 256))
    assert plans["train-coarse"] == ("li2024-coarse", (64, 64, 64))
    assert plans["train-fine"] == ("li2024-fine", (96, 192, 192))
    assert plans["train-edges"] == ("zhu2024-default", (40, 224, 192))
    assert plans["train-small"] == ("zhu2024-small", (40, 224, 192))
    teachers = ("train-1", "train-2", "train-3a", "train-3b", "train-3c")
    assert {plans[name] for name in teachers} == {("he2024", (48, 160, 224))}


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_no_training_is_handed_labels_of_the_target(name: str, preset: str, profile: str) -> None:
    """Every labeled pool comes from CT, from fakes, or from what a model has predicted."""
    recipe = load_recipe(name, preset=preset, profile=profile)
    specs = _specs(recipe)
    for spec in recipe.stages:
        if spec.use == "train-pools":
            origins = _origins(spec.inputs["labeled"], specs)
            assert origins <= {"source", "segment"}, spec.id


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_people_are_heard_before_a_training(name: str, preset: str, profile: str) -> None:
    """Between the network that labels and the training there is a review.

    Not in the second stage of he2024, whose labels the kidneys judge.
    """
    specs = _specs(load_recipe(name, preset=preset, profile=profile))
    unheard = {
        spec.id
        for spec in specs.values()
        if spec.use == "train-pools"
        and "segment" in _origins(spec.inputs["labeled"], specs, ends=("segment", "apply-review"))
    }
    assert unheard == ({"train-2"} if name == "he2024" else set())


def _origins(
    sources: Sequence[str], specs: Mapping[str, StageSpec], ends: Sequence[str] = ("segment",)
) -> set[str]:
    """Where the labels of some stages' cases come from: the source domain, or a kind of stage."""
    found: set[str] = set()
    for spec in (specs[name] for name in sources):
        if spec.use in ends:
            found.add(spec.use)
        elif spec.where.domain == "source":
            found.add("source")
        else:
            slot = _CARRIERS.get(spec.use) or next(iter(STAGES[spec.use].slots))
            found |= _origins(spec.inputs[slot], specs, ends)
    return found


_CARRIERS = {
    "adopt-labels": "labels",
    "propagate-labels": "labeled",
    "filter-kidney": "references",
}
"""Inputs that labels come from, where that is not the first one."""


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_test_cases_are_seen_by_nothing_but_the_test(name: str, preset: str, profile: str) -> None:
    recipe = load_recipe(name, preset=preset, profile=profile)
    cohort = "cohort" if preset == "mini" else "dataset"
    for spec in recipe.stages:
        if any(cohort in names for names in spec.inputs.values()) and spec.id != "scores":
            assert spec.where.part == ("default/test" if spec.id == "segment-test" else TRAIN)


def test_the_profiles_of_li_differ_only_where_paper_and_code_do() -> None:
    paper, code = (_specs(load_recipe("li2024", profile=name)) for name in ("paper", "code"))
    assert set(code) - set(paper) == {"confident-2"}
    changed = {name for name in paper if paper[name] != code[name]}
    filters = {"filtered-1", "filtered-2", "reviewed-2"}
    assert changed == {*filters, "shared-1", "shared-2", "predicted-2"}
    assert code["reviewed-2"].inputs["cases"] == ("confident-2",)


def test_safe_profiles_change_intensities_filters_and_metric_only() -> None:
    found = {}
    for name in SIZES:
        paper, safe = (_specs(load_recipe(name, profile=p)) for p in ("paper", "safe"))
        found[name] = {spec_id for spec_id in paper if paper[spec_id] != safe[spec_id]}
    trainings = {"train-big-0", "train-big-1", "train-coarse", "train-fine"}
    assert found["li2024"] == {"filtered-1", "filtered-2", *trainings}
    assert found["zhu2024"] == {"matched-1", "train-round-2", "train-round-3", "train-small"}
    moved = {"t1-moved", "ct-first-moved", "ct-paired", "bodies-moved", "opposed-moved"}
    assert found["he2024"] == {"mr", *moved}


def test_the_profiles_of_he_differ_only_where_paper_and_code_do() -> None:
    paper, code = (_specs(load_recipe("he2024", profile=name)) for name in ("paper", "code"))
    changed = {name for name in paper if paper[name] != code[name]}
    rounds = {f"{what}-3{n}" for what in ("train", "predicted", "filtered") for n in "abc"}
    models = {"model-1", "model-2", "model-3a", "model-3b", "export"}
    others = {"translator", "train-1", "train-2", "t1-predicted", "ct-long", "segment-test"}
    assert changed == rounds | models | others


@pytest.mark.parametrize("profile", PROFILES["he2024"])
def test_filters_of_he_are_those_of_the_table(profile: str) -> None:
    specs, table = _specs(load_recipe("he2024", profile=profile)), FILTERS[profile]
    for name in ("filtered-3a", "filtered-3b", "filtered-3c"):
        assert specs[name].parameters == FilterAnatomyParameters(table.anatomy)
    assert specs["mr"].parameters == UnflipParameters(rule=table.z_flip)
    assert specs["transferred"].parameters == FilterKidneyParameters()
    options = [s.parameters.options for s in specs.values() if _is_registration(s)]
    assert {o.solid_mask for o in options if o.on == "mask"} == {table.solid_mask}


def _is_registration(spec: StageSpec) -> bool:
    return isinstance(spec.parameters, RegisterParameters)
