"""Changing parameters of a recipe: all mistakes at once, and a new file with all parameters."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.binding import closest
from FlareMRCore.errors import RecipeError, UsageError
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_parsing import parse_recipe
from FlareMRCore.pipeline.recipe_writing import recipe_toml
from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages import STAGES


@dataclass(frozen=True, slots=True)
class Change:
    """A new value of a parameter.

    Attributes:
        stage_id: of the recipe.
        name: with dots before parts of a table, as `ParameterInfo` has it.
        text: the value in TOML; text without quotes counts as text; empty for the default.
    """

    stage_id: str
    name: str
    text: str


def parse_change(text: str) -> Change:
    """The change ``STAGE.PARAMETER=VALUE``.

    Raises:
        UsageError: it is no such text.
    """
    target, equals, value = text.partition("=")
    stage_id, dot, name = target.strip().partition(".")
    if not (equals and dot and stage_id and name):
        raise UsageError(
            f"'{text}' is no change of a parameter.",
            code="usage.change",
            hint="Write STAGE.PARAMETER=VALUE, e.g. train-coarse.steps=100.",
        )
    return Change(stage_id, name, value.strip())


def edit_recipe(
    recipe: Recipe,
    changes: Sequence[Change],
    *,
    name: str = "",
    stages: Mapping[str, Stage] = STAGES,
) -> Recipe:
    """`recipe` with the changes; it has no presets and profiles besides itself.

    Args:
        recipe: as a preset and a profile have it.
        changes: of its parameters.
        name: of the new recipe; empty for the same one.
        stages: the table of stages.

    Raises:
        RecipeError: the message lists every mistake.
    """
    content = tomllib.loads(recipe_toml(recipe))
    content["name"] = name or recipe.name
    problems = [problem for change in changes for problem in _apply(content, change)]
    try:
        found = parse_recipe(content, f"{content['name']}.toml", stages=stages)
    except RecipeError as error:
        more = [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
        problems += [line.removeprefix(f"{content['name']}.toml: ") for line in more]
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise RecipeError(f"The changes of '{recipe.label}':{lines}", code="recipe.mistakes")
    return found


def edited_name(path: Path) -> str:
    """Name of a recipe that is saved at `path`."""
    return path.name.removesuffix(".toml")


def _apply(content: dict[str, Any], change: Change) -> Iterator[str]:
    """Change the table of the stage; what is wrong with the place is told here."""
    entries = {entry["id"]: entry for entry in content["stage"]}
    if change.stage_id not in entries:
        known = tuple(entries)
        yield f"there is no stage '{change.stage_id}'{closest(change.stage_id, known)}"
        return
    *parents, last = change.name.split(".")
    table = entries[change.stage_id]
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            yield f"stage '{change.stage_id}': '{parent}' is no table"
            return
    if change.text:
        table[last] = parse_value(change.text)
    else:
        table.pop(last, None)


def parse_value(text: str) -> Any:
    """The value that `text` is in TOML; the text itself if it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
