"""Recipes with other inputs and parameters, reduced to what one of their stages needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe import Recipe, StageSpec

Changes = Mapping[str, Mapping[str, Any]]
"""By stage: ``inputs`` by slot, ``where``, and parameters, nested ones as mappings."""
SEED_STEP = 100


def changed_recipe(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe with `changes`.

    Raises:
        RecipeError: it has no such stage, or the stage no such parameter.
    """
    unknown = sorted(set(changes) - {spec.id for spec in recipe.stages})
    if unknown:
        raise RecipeError(
            f"Recipe '{recipe.label}' has no stage {', '.join(unknown)}.", code="recipe.stage"
        )
    stages = tuple(_changed_stage(spec, changes.get(spec.id, {})) for spec in recipe.stages)
    return replace(recipe, stages=stages)


def needed_recipe(recipe: Recipe, goals: Sequence[str]) -> Recipe:
    """The recipe without the stages that its stages `goals` do not need."""
    wanted = set(goals)
    for spec in reversed(recipe.stages):
        if spec.id in wanted:
            wanted |= {name for names in spec.inputs.values() for name in names}
    return replace(recipe, stages=tuple(spec for spec in recipe.stages if spec.id in wanted))


def reseeded_recipe(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with other random numbers; 0 keeps its own. Cases stay the same."""
    stages = (replace(s, parameters=_reseeded(s.parameters, seed)) for s in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def _changed_stage(spec: StageSpec, change: Mapping[str, Any]) -> StageSpec:
    rest = {key: value for key, value in change.items() if key not in ("inputs", "where")}
    given = {slot: tuple(names) for slot, names in change.get("inputs", {}).items()}
    inputs = {slot: names for slot, names in {**spec.inputs, **given}.items() if names}
    where = _changed(spec.where, change.get("where", {}), spec.id)
    parameters = _changed(spec.parameters, rest, spec.id)
    return replace(spec, inputs=inputs, where=where, parameters=parameters)


def _changed(value: Any, change: Any, stage_id: str) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return change
    unknown = sorted(set(change) - {field.name for field in fields(value)})
    if unknown:
        raise RecipeError(
            f"Stage '{stage_id}' has no parameter {', '.join(unknown)}.", code="recipe.parameter"
        )
    parts = {key: _changed(getattr(value, key), part, stage_id) for key, part in change.items()}
    return replace(value, **parts)


def _reseeded(value: Any, seed: int) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {field.name: _reseeded(getattr(value, field.name), seed) for field in fields(value)}
    if isinstance(parts.get("seed"), int):
        parts["seed"] += seed * SEED_STEP
    return replace(value, **parts)
