"""A recipe as TOML: one file with every parameter of every stage, that reads back as the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe import Recipe, StageSpec
from FlareMRCore.pipeline.recipe_cases import CaseFilter
from FlareMRCore.pipeline.recipe_parsing import RESERVED, load_recipe
from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages import STAGES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def recipe_toml(recipe: Recipe) -> str:
    """The recipe as its preset and profile have it: no presets, no defaults left to the code.

    Stages with equal inputs make the same artifacts as those of `recipe`, because keys are made
    of parameters and contents and of nothing else.
    """
    head = "".join(
        f"{key} = {_value(getattr(recipe, key))}\n" for key in ("name", "title", "description")
    )
    return head + "".join(_stage_toml(spec) for spec in recipe.stages)


def save_recipe(path: Path, recipe: Recipe, *, stages: Mapping[str, Stage] = STAGES) -> None:
    """Write `recipe_toml` to `path`.

    Raises:
        RecipeError: a parameter is lost in TOML, which has no empty value; nothing useful is left.
        UsageError: the file cannot be written.
    """
    write_text_atomically(path, recipe_toml(recipe))
    found = load_recipe(str(path), stages=stages)
    different = [a.id for a, b in zip(recipe.stages, found.stages, strict=True) if a != b]
    if different:
        path.unlink()
        raise RecipeError(
            f"Stages {', '.join(different)} of '{recipe.label}' cannot be written as TOML.",
            code="recipe.write",
            hint="Give each of their parameters a value instead of none.",
        )


def _stage_toml(spec: StageSpec) -> str:
    lines = ["", "[[stage]]", f"id = {_value(spec.id)}", f"use = {_value(spec.use)}"]
    inputs = {slot: list(names) for slot, names in spec.inputs.items()}
    every = asdict(CaseFilter())
    where = {key: value for key, value in asdict(spec.where).items() if value != every[key]}
    for key, table in (("inputs", inputs), ("where", where)):
        if table:
            lines.append(f"{key} = {_value(table)}")
    lines += [f"{key} = {_value(value)}" for key, value in _parameters(spec)]
    return "\n".join(lines) + "\n"


def _parameters(spec: StageSpec) -> Iterator[tuple[str, Any]]:
    for key, value in _fields(spec.parameters).items():
        if key in RESERVED:
            raise RecipeError(
                f"Stage '{spec.id}' has a parameter '{key}', which means something else in TOML.",
                code="recipe.write",
                hint="Write this recipe by hand.",
            )
        yield key, value


def _fields(value: DataclassInstance) -> dict[str, Any]:
    """Fields that have a value."""
    pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: found for name, found in pairs if found is not None}


def _value(value: Any) -> str:
    """The value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are those of TOML, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if is_dataclass(value) and not isinstance(value, type):
        value = _fields(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return "[" + ", ".join(_value(item) for item in value) + "]"
