"""Every parameter of a recipe with its unit, its default, where its value comes from, and help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from FlareMRCore.events import json_values
from FlareMRCore.pipeline.citations import Use, load_citations
from FlareMRCore.pipeline.recipe import DEFAULT, Recipe, StageSpec, read_recipe_file, recipe_path
from FlareMRCore.pipeline.recipe_parsing import load_recipe, merged, with_resource
from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages import STAGES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

UNITS = {
    "mm3": "mm³",
    "mm2": "mm²",
    "mm": "mm",
    "ml": "mL",
    "vox": "voxels",
    "deg": "degrees",
    "s": "s",
    "percent": "%",
    "epochs": "epochs",
    "steps": "steps",
    "share": "0 to 1",
    "shares": "0 to 1",
}
"""Units by the last word of a parameter's name."""
FROM_CODE = "default"


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter of one stage.

    Attributes:
        name: with dots before parts of a table, e.g. ``"sampling.spacing_mm"``.
        value: as JSON has it.
        default: of the code, as JSON has it; None if there is none.
        unit: empty if it has none.
        origin: where the value comes from: ``"default"`` (the code), ``"recipe"``, ``"preset
            NAME"``, ``"profile NAME"``, or the bundled file that the stage starts from.
        help: a sentence; empty if the code gives none.
    """

    name: str
    value: Any
    default: Any
    unit: str
    origin: str
    help: str


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One stage of a recipe: what it is, what it rests on, what it takes, and its parameters."""

    id: str
    use: str
    output: str
    scope: str
    help: str
    references: tuple[str, ...]
    inputs: Mapping[str, Sequence[str]]
    where: Mapping[str, Any]
    parameters: tuple[ParameterInfo, ...]


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """A recipe, as one preset and one profile have it, and the works it rests on."""

    name: str
    title: str
    description: str
    references: tuple[str, ...]
    path: str
    preset: str
    profile: str
    presets: tuple[str, ...]
    profiles: tuple[str, ...]
    stages: tuple[StageInfo, ...]


def describe_recipe(
    name_or_path: str,
    *,
    preset: str = DEFAULT,
    profile: str = DEFAULT,
    stages: Mapping[str, Stage] = STAGES,
) -> RecipeInfo:
    """Everything a person chooses from before running a recipe.

    Raises:
        RecipeError: see `load_recipe`.
    """
    recipe = load_recipe(name_or_path, preset=preset, profile=profile, stages=stages)
    path = recipe_path(name_or_path)
    layers = _Layers(read_recipe_file(path), recipe)
    return RecipeInfo(
        recipe.name,
        recipe.title,
        recipe.description,
        _references(Use(recipe=recipe.name)),
        str(path),
        preset,
        profile,
        recipe.presets,
        recipe.profiles,
        tuple(_stage(spec, stages[spec.use], layers) for spec in recipe.stages),
    )


@dataclass(frozen=True, slots=True)
class _Layers:
    """The tables of a recipe file that may set a parameter."""

    content: Mapping[str, Any]
    recipe: Recipe

    def origin(self, stage_id: str, name: str) -> str:
        """The table that sets the parameter, the strongest one first."""
        entry = next(e for e in self.content["stage"] if e["id"] == stage_id)
        preset = self._change("presets", self.recipe.preset, stage_id)
        profile = self._change("profiles", self.recipe.profile, stage_id)
        layers = {f"preset {self.recipe.preset}": preset, f"profile {self.recipe.profile}": profile}
        layers["recipe"] = entry
        for origin, table in layers.items():
            if _has(table, name):
                return origin
        whole = merged(merged(entry, profile), preset)
        if "from" in whole and _has(with_resource(whole)[0], name):
            return str(whole["from"]).partition("#")[0]
        return FROM_CODE

    def _change(self, kind: str, variant: str, stage_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.content.get(kind, {}).get(variant, {}).get(stage_id, {})
        return found


def _has(table: Any, name: str) -> bool:
    for part in name.split("."):
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True


def _stage(spec: StageSpec, stage: Stage, layers: _Layers) -> StageInfo:
    where = {f.name: getattr(spec.where, f.name) for f in fields(spec.where)}
    return StageInfo(
        spec.id,
        spec.use,
        stage.output,
        stage.scope,
        inspect.getdoc(stage.run) or "",
        _references(Use(stage=spec.use, parameters=asdict(spec.parameters))),
        spec.inputs,
        {key: value for key, value in json_values(where).items() if value not in ("", None, [])},
        tuple(_parameters(spec.parameters, "", spec.id, layers)),
    )


def _references(use: Use) -> tuple[str, ...]:
    """Works to cite, each with its address."""
    citations = load_citations()
    works = [citations.works[key] for key in citations.of(use)]
    return tuple(f"{work.text} {work.url}".strip() for work in works)


def _parameters(
    value: DataclassInstance, prefix: str, stage_id: str, layers: _Layers
) -> Iterator[ParameterInfo]:
    """The fields; those of tables one by one."""
    texts = attribute_texts(type(value))
    for field in fields(value):
        found, name = getattr(value, field.name), prefix + field.name
        if is_dataclass(found) and not isinstance(found, type):
            yield from _parameters(found, f"{name}.", stage_id, layers)
            continue
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        yield ParameterInfo(
            name,
            json_values(found),
            None if default is MISSING else json_values(default),
            UNITS.get(field.name.rpartition("_")[2], ""),
            layers.origin(stage_id, name),
            texts.get(field.name, ""),
        )


def attribute_texts(kind: type) -> dict[str, str]:
    """What the section ``Attributes:`` of a docstring says, by name of the attribute."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name, texts[start[1]] = start[1], start[2]
        elif name and line.startswith("        "):
            texts[name] += " " + line.strip()
        elif line.strip():
            break
    return texts
