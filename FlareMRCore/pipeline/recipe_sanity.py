"""Builds every network a recipe trains, before hours are spent on it: size, memory, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import Reporter

HOUR_S = 3600.0


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
        step_s: measured seconds of forward and backward pass; None if not measured.
        hours: for all steps with the largest patch; None if not measured.
    """

    stage_id: str
    builder: str
    shape: tuple[int, ...]
    parameters: int
    gmacs: float
    memory_mb: float
    step_s: float | None
    hours: float | None


def check_networks(
    recipe: Recipe,
    reporter: Reporter,
    *,
    probe: bool = True,
    device: str = "auto",
    stages: Mapping[str, Stage] = STAGES,
) -> tuple[NetworkCheck, ...]:
    """Cost of each stage of `recipe` that trains a network, in order.

    With `probe`, a forward and a backward step run at the true size where memory allows.

    Raises:
        UsageError: there is no such network or device.
    """
    from FlareMRCore.training.probe import step_seconds, training_cost

    plans = [
        (spec.id, training(spec.parameters))
        for spec in recipe.stages
        if (training := stages[spec.use].training)
    ]
    checks = []
    for number, (stage_id, plan) in enumerate(plans):
        reporter.advance("check", number, len(plans))
        cost = training_cost(plan.builder, plan.shape)
        seconds = step_seconds(plan.builder, plan.shape, device=device) if probe else None
        hours = None if seconds is None else seconds * plan.batch * plan.steps / HOUR_S
        checks.append(
            NetworkCheck(
                stage_id,
                plan.builder,
                plan.shape,
                cost.parameters,
                cost.gmacs,
                cost.memory_mb,
                seconds,
                hours,
            )
        )
    reporter.advance("check", len(plans), len(plans))
    return tuple(checks)
