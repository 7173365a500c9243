"""Builds every network a recipe trains, before hours are spent on it: size, memory, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.stage import Stage, TrainingPlan
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import Reporter

if TYPE_CHECKING:
    from FlareMRCore.training.probe import TrainingCost
    from FlareMRCore.training.step_probe import StepProbe

HOUR_S = 3600.0
STEP_LIMIT_S = 20.0
"""A step that would take longer, as predicted, is timed with a smaller patch."""


@dataclass(frozen=True, slots=True)
class NetworkCheck:
    """Cost of one stage that trains.

    Attributes:
        stage_id: of the recipe.
        builder: name of the network.
        shape: largest patch (K, J, I), or (J, I) of a 2-D network.
        parameters: learned values.
        gmacs: billions of multiply-accumulates of one evaluation of that patch.
        memory_mb: of one training step, estimated.
        step_s: seconds of forward and backward pass of one patch; None if not probed.
        hours: for all steps with the largest patch; None if not probed.
        probed_shape: the patch that was timed; None if none was: then the seconds follow from the
            arithmetic and the speed of another network.
        reason: why it was not the largest patch: ``"memory"``, ``"time"``, or empty.
    """

    stage_id: str
    builder: str
    shape: tuple[int, ...]
    parameters: int
    gmacs: float
    memory_mb: float
    step_s: float | None
    hours: float | None
    probed_shape: tuple[int, ...] | None = None
    reason: str = ""


def check_networks(
    recipe: Recipe,
    reporter: Reporter,
    *,
    probe: bool = True,
    device: str = "auto",
    stages: Mapping[str, Stage] = STAGES,
) -> tuple[NetworkCheck, ...]:
    """Cost of each stage of `recipe` that trains a network, in order.

    With `probe`, a forward and a backward step run at the true size where memory allows and
    `STEP_LIMIT_S` will do; else at the largest patch, halved again and again, for which they do.

    Raises:
        UsageError: there is no such network or device.
    """
    plans = [
        (spec.id, training(spec.parameters))
        for spec in recipe.stages
        if (training := stages[spec.use].training)
    ]
    checks: list[NetworkCheck] = []
    timed: dict[str, StepProbe] = {}
    for number, (stage_id, plan) in enumerate(plans):
        reporter.advance("check", number, len(plans))
        cost = _cost(plan)
        same = repr((plan.builder, plan.shape, plan.translation))
        if probe and same not in timed:
            timed[same] = _probe(plan, device)
        found = timed.get(same)
        checks.append(
            NetworkCheck(
                stage_id,
                plan.builder,
                plan.shape,
                cost.parameters,
                cost.gmacs,
                cost.memory_mb,
                found.seconds if found else None,
                found.seconds * plan.batch * plan.steps / HOUR_S if found else None,
                found.shape if found else None,
                found.reason if found else "",
            )
        )
    reporter.advance("check", len(plans), len(plans))
    return tuple(checks)


def _cost(plan: TrainingPlan) -> TrainingCost:
    if plan.translation is not None:
        from FlareMRCore.training.translation_probe import translation_cost

        return translation_cost(plan.translation)
    from FlareMRCore.training.probe import training_cost

    return training_cost(plan.builder, plan.shape)


def _probe(plan: TrainingPlan, device: str) -> StepProbe:
    from FlareMRCore.inference.device import free_memory_bytes, pick_device
    from FlareMRCore.training.step_probe import Limits, probe_network, probe_step, speed_of

    limits = Limits(free_memory_bytes(pick_device(device).name), STEP_LIMIT_S)
    translation = plan.translation
    if translation is None:
        return probe_network(plan.builder, plan.shape, device=device, limits=limits)
    from FlareMRCore.training.translation_probe import translation_cost, translation_step_seconds

    # Discriminators change with the size of the image, so there is no smaller one to try.
    return probe_step(
        lambda _shape: translation_step_seconds(translation, device=device),
        lambda _shape: translation_cost(translation),
        [plan.shape],
        limits,
        lambda: speed_of(device),
    )
