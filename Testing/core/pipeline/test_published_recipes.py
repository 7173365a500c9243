"""The published systems as recipes: complete in every preset and profile, of the published size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_sanity import check_networks
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import SilentReporter

DARNET, CYCLEGAN = 19_023_832, 28_256_644
BIG, COARSE, FINE = 20_470_332, 6_678_568, 6_677_528
DEFAULT, SMALL = 30_713_158, 5_630_488
SIZES = {"li2024": (DARNET, BIG, BIG, COARSE, FINE), "zhu2024": (CYCLEGAN, *(DEFAULT,) * 3, SMALL)}
PROFILES = {"li2024": ("paper", "code", "safe"), "zhu2024": ("paper", "safe")}
TRAIN = "default/train"


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


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_no_training_is_handed_labels_of_the_target(name: str, preset: str, profile: str) -> None:
    """Every labeled pool comes from CT, from fakes, or from what a model has predicted."""
    recipe = load_recipe(name, preset=preset, profile=profile)
    specs = _specs(recipe)
    for spec in recipe.stages:
        if spec.use == "train-pools":
            origins = {use for source in spec.inputs["labeled"] for use in _origins(source, specs)}
            assert origins <= {"source", "segment"}, spec.id


def _origins(source: str, specs: Mapping[str, StageSpec]) -> set[str]:
    """Where the labels of a stage's cases come from: the source domain, or a model."""
    spec = specs[source]
    if spec.use == "segment":
        return {"segment"}
    if spec.where.domain == "source":
        return {"source"}
    carriers = {"adopt-labels": "labels", "propagate-labels": "labeled"}
    slot = carriers.get(spec.use) or next(iter(STAGES[spec.use].slots))
    return {found for name in spec.inputs[slot] for found in _origins(name, specs)}


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
    assert changed == {"filtered-1", "filtered-2", "shared-1", "shared-2", "predicted-2"}


def test_safe_profiles_change_intensities_filters_and_metric_only() -> None:
    found = {}
    for name in SIZES:
        paper, safe = (_specs(load_recipe(name, profile=p)) for p in ("paper", "safe"))
        found[name] = {spec_id for spec_id in paper if paper[spec_id] != safe[spec_id]}
    trainings = {"train-big-0", "train-big-1", "train-coarse", "train-fine"}
    assert found["li2024"] == {"filtered-1", "filtered-2", *trainings}
    assert found["zhu2024"] == {"matched-1", "train-round-2", "train-round-3", "train-small"}
