"""The recipes of partial labels: complete in every variant, of the published size and procedure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_sanity import check_networks
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_pools import PoolStageParameters
from FlareMRCore.progress import SilentReporter

PROFILES = {"ye2023": ("paper", "unlabeled", "safe"), "stmt2023": ("paper", "code", "safe")}
STUDENT = 2_046_960
SIZES = {
    "ye2023": (1_439_006, 1_438_802, *(STUDENT,) * 3),
    "stmt2023": (17_858_868, 26_975_450, 25_792_462, 25_786_450),
}


def _variants() -> list[tuple[str, str, str]]:
    return [
        (name, preset, profile)
        for name, profiles in PROFILES.items()
        for preset, profile in itertools.product(("paper", "small", "mini"), profiles)
    ]


def _specs(recipe: Recipe) -> Mapping[str, StageSpec]:
    return {spec.id: spec for spec in recipe.stages}


def _training(name: str, stage_id: str, profile: str = "paper") -> PoolStageParameters:
    parameters = _specs(load_recipe(name, profile=profile))[stage_id].parameters
    assert isinstance(parameters, PoolStageParameters)
    return parameters


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", SIZES)
def test_networks_have_the_published_size(name: str) -> None:
    checks = check_networks(load_recipe(name), SilentReporter(), probe=False)
    assert tuple(check.parameters for check in checks) == SIZES[name]


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_test_cases_are_seen_by_nothing_but_the_test(name: str, preset: str, profile: str) -> None:
    recipe = load_recipe(name, preset=preset, profile=profile)
    cohorts = {"cohort"} if preset == "mini" else {"dataset"}
    for spec in recipe.stages:
        if any(cohorts & set(names) for names in spec.inputs.values()) and spec.id != "scores":
            wanted = "default/test" if spec.id == "segment-test" else "default/train"
            assert spec.where.part == wanted, spec.id


def test_the_subsets_of_ye_are_told_apart_by_what_is_annotated() -> None:
    """A case that annotates organs and tumors is of one subset only, l2 of none."""
    specs = _specs(load_recipe("ye2023", profile="unlabeled"))
    five = ("liver", "right_kidney", "spleen", "pancreas", "left_kidney")
    kinds = {
        "l1": (*five, "stomach"),
        "l2": five,
        "l3": (*five, "tumor"),
        "l4": ("tumor",),
        "u": (),
    }
    for kind, annotated in kinds.items():
        taken = [n for n in ("l1", "l3", "l4", "u") if _takes(specs[n], annotated)]
        assert taken == [kind][: kind != "l2"]


def _takes(spec: StageSpec, annotated: tuple[str, ...]) -> bool:
    where = spec.where
    return (
        set(where.annotates) <= set(annotated)
        and not set(where.lacks) & set(annotated)
        and where.labeled in (None, bool(annotated))
    )


def test_the_student_of_ye_freezes_what_a_step_does_not_teach() -> None:
    second, third, fourth = (
        _training("ye2023", name).training for name in ("student-2", "student-3", "student-4")
    )
    assert second.frozen == ()
    assert third.frozen == ("encoder", "decoder", "branches.tumor")
    assert fourth.frozen == ("encoder", "decoder", "branches.organs")
    assert (third.branch_weights, fourth.branch_weights) == ((1.0, 0.0), (0.0, 1.0))
    rates = [step.optimization.learning_rate for step in (second, third, fourth)]
    assert rates == [5e-4, 5e-4, 1e-4]
    assert [step.trainer.steps for step in (second, third, fourth)] == [28992, 30057, 54641]


def test_unlabeled_cases_come_in_with_their_profile_only() -> None:
    paper, more = (_specs(load_recipe("ye2023", profile=p)) for p in ("paper", "unlabeled"))
    assert set(more) - set(paper) == {"u", "organs-u", "tumors-u", "completed-u", "student-1"}
    assert more["student-1"].inputs["labeled"] == ("completed-u",)
    assert {n for n in paper if paper[n] != more[n]} == {"student-2"}


def test_batches_of_stmt_are_hybrid_and_its_tumors_have_a_teacher() -> None:
    organs = _training("stmt2023", "train-organs").training
    assert organs.composition.shares == (("labeled", 1), ("partial", 1), ("pseudo", 1))
    assert dict(organs.pool_weights) == {"labeled": 1.0, "partial": 1.0, "pseudo": 0.5}
    tumor = _training("stmt2023", "train-tumor").training
    assert (tumor.method, tumor.union_weight) == ("hard-union", 1.0)
    averaging = tumor.trainer.averaging
    assert (averaging.rule, averaging.decay) == ("constant", 0.99)


def test_profiles_of_stmt_differ_only_where_paper_and_code_do() -> None:
    paper, code, safe = (_specs(load_recipe("stmt2023", profile=p)) for p in PROFILES["stmt2023"])
    trainings = {"train-organs", "train-tumor"}
    assert {n for n in paper if paper[n] != safe[n]} == trainings
    assert set(safe) - set(paper) == {"train-tumor-first"}
    assert safe["train-tumor"].inputs["initial"] == ("train-tumor-first",)
    assert {n for n in paper if paper[n] != code[n]} == trainings | {
        "train-coarse",
        "segment-test",
    }
    kinds = {
        profile: _training("stmt2023", "train-organs", profile).training.optimization.schedule.kind
        for profile in PROFILES["stmt2023"]
    }
    assert kinds == {"paper": "cosine", "code": "poly", "safe": "cosine"}


@pytest.mark.parametrize(("name", "preset", "profile"), _variants())
def test_every_training_fits_its_network(name: str, preset: str, profile: str) -> None:
    for spec in load_recipe(name, preset=preset, profile=profile).stages:
        if spec.use == "train-pools":
            plan = STAGES[spec.use].training
            assert plan is not None
            shape = plan(spec.parameters).shape
            fixed = spec.parameters.preparation.fixed_shape
            assert fixed is None or fixed == shape, spec.id
