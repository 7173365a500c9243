"""From a recipe file to stages with bound parameters; all mistakes are reported at once."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from FlareMRCore.data.binding import bind_table, closest
from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe import (
    DATASET_INPUT,
    DEFAULT,
    Recipe,
    StageSpec,
    read_recipe_file,
    recipe_path,
)
from FlareMRCore.pipeline.recipe_cases import CaseFilter
from FlareMRCore.pipeline.stage import CASES, Stage
from FlareMRCore.pipeline.stages import STAGES

RESERVED = ("id", "use", "input", "inputs", "where", "from", "skip")
"""Keys of a stage that are no parameters."""
TOP_LEVEL = {"name": str, "title": str, "description": str, "stage": list}
OVERRIDES = ("presets", "profiles")

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one recipe file against one table of stages."""

    content: Table
    stages: Mapping[str, Stage]

    def variants(self, kind: str) -> tuple[str, ...]:
        """Names of the presets or profiles, the default one first."""
        return tuple(dict.fromkeys((DEFAULT, *self.content.get(kind, {}))))


def load_recipe(
    name_or_path: str,
    *,
    preset: str = DEFAULT,
    profile: str = DEFAULT,
    stages: Mapping[str, Stage] = STAGES,
) -> Recipe:
    """The recipe as `preset` and `profile` have it, checked in all presets and profiles.

    Raises:
        RecipeError: there is no such recipe, preset or profile, or the message lists every
            mistake of the file with the id of its stage.
    """
    path = recipe_path(name_or_path)
    content = read_recipe_file(path)
    return parse_recipe(content, str(path), preset=preset, profile=profile, stages=stages)


def parse_recipe(
    content: Table,
    path: str,
    *,
    preset: str = DEFAULT,
    profile: str = DEFAULT,
    stages: Mapping[str, Stage] = STAGES,
) -> Recipe:
    """The recipe that a file `path` with this content would hold; see `load_recipe`."""
    reader = _Reader(content, stages)
    problems = list(_file_problems(reader.content))
    found: dict[tuple[str, str], Recipe] = {}
    if not problems:
        problems = _read_variants(reader, found)
    if problems:
        lines = "".join(f"\n  - {Path(path).name}: {problem}" for problem in problems)
        count = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}"
        raise RecipeError(f"The recipe '{path}' has {count}:{lines}", code="recipe.mistakes")
    for kind, name in (("presets", preset), ("profiles", profile)):
        if name not in reader.variants(kind):
            known = ", ".join(reader.variants(kind))
            raise RecipeError(
                f"'{path}' has no {kind.removesuffix('s')} '{name}'. Known: {known}.",
                code="recipe.variant",
            )
    return found[preset, profile]


def _file_problems(content: Table) -> Iterator[str]:
    """Mistakes outside of the stages."""
    known = (*TOP_LEVEL, *OVERRIDES)
    for key in content:
        if key not in known:
            yield f"unknown key '{key}'{closest(key, known)}"
    for key, kind in TOP_LEVEL.items():
        if not isinstance(content.get(key), kind):
            yield f"'{key}' is missing or no {'text' if kind is str else 'list of [[stage]]'}"
    entries = content.get("stage")
    ids = _stage_ids(entries) if isinstance(entries, list) else []
    yield from (f"stage '{i}' occurs twice" for i in sorted({i for i in ids if ids.count(i) > 1}))
    if DATASET_INPUT in ids:
        yield f"stage '{DATASET_INPUT}': this id means the cases of the command line"
    for variant in OVERRIDES:
        yield from _override_problems(variant, content.get(variant, {}), ids)


def _stage_ids(entries: list[Any]) -> list[str]:
    return [str(entry.get("id", "?")) for entry in entries if isinstance(entry, dict)]


def _override_problems(kind: str, variants: Any, ids: list[str]) -> Iterator[str]:
    if not isinstance(variants, dict):
        yield f"'{kind}' should be a table of tables"
        return
    for name, tables in variants.items():
        where = f"{kind.removesuffix('s')} '{name}'"
        if not isinstance(tables, dict):
            yield f"{where} should be a table"
            continue
        for stage_id, table in tables.items():
            if stage_id not in ids:
                yield f"{where}: there is no stage '{stage_id}'{closest(stage_id, ids)}"
            elif not isinstance(table, dict):
                yield f"{where}: stage '{stage_id}' should be a table"
            else:
                fixed = [key for key in ("id", "use") if key in table]
                yield from (f"{where}: stage '{stage_id}': '{k}' is fixed" for k in fixed)


def _read_variants(reader: _Reader, found: dict[tuple[str, str], Recipe]) -> list[str]:
    """Fill `found` with the recipe of each preset and profile; all mistakes, each once."""
    problems: dict[str, None] = {}
    pairs = itertools.product(reader.variants("presets"), reader.variants("profiles"))
    for preset, profile in pairs:
        recipe, mistakes = _read_variant(reader, preset, profile)
        if recipe is not None:
            found[preset, profile] = recipe
        named = [f"preset '{preset}'"] * (preset != DEFAULT)
        named += [f"profile '{profile}'"] * (profile != DEFAULT)
        suffix = f" (with {', '.join(named)})" if named else ""
        for mistake in mistakes:
            if not any(known.startswith(mistake) for known in problems):
                problems[mistake + suffix] = None
    return list(problems)


def _read_variant(reader: _Reader, preset: str, profile: str) -> tuple[Recipe | None, list[str]]:
    content = reader.content
    changes = [
        content.get("profiles", {}).get(profile, {}),
        content.get("presets", {}).get(preset, {}),
    ]
    specs: dict[str, StageSpec] = {}
    problems: list[str] = []
    ids = _stage_ids(content["stage"])
    for entry in content["stage"]:
        if not isinstance(entry, dict):
            problems.append(f"[[stage]] should be a table, is {entry!r}")
            continue
        for change in changes:
            entry = merged(entry, change.get(str(entry.get("id", "?")), {}))
        if entry.get("skip") is True:
            continue
        spec, mistakes = _read_stage(entry, specs, ids, reader.stages)
        problems += [f"stage '{entry.get('id', '?')}': {mistake}" for mistake in mistakes]
        if spec is not None:
            specs[spec.id] = spec
    if problems:
        return None, problems
    return _recipe(reader, preset, profile, tuple(specs.values())), []


def _recipe(reader: _Reader, preset: str, profile: str, stages: tuple[StageSpec, ...]) -> Recipe:
    content = reader.content
    return Recipe(
        content["name"],
        content["title"],
        content["description"],
        preset,
        profile,
        stages,
        reader.variants("presets"),
        reader.variants("profiles"),
    )


def _read_stage(
    entry: Table, earlier: Mapping[str, StageSpec], ids: list[str], stages: Mapping[str, Stage]
) -> tuple[StageSpec | None, list[str]]:
    """The stage, even with mistakes if others can refer to it; all mistakes."""
    problems = [
        f"'{key}' is missing or no text" for key in ("id", "use") if not _is_text(entry, key)
    ]
    if not isinstance(entry.get("skip", False), bool):
        problems.append(f"'skip' should be true or false, is {entry['skip']!r}")
    if problems:
        return None, problems
    if entry["use"] not in stages:
        return None, [
            f"there is no kind of stage '{entry['use']}'{closest(entry['use'], tuple(stages))}"
        ]
    stage = stages[entry["use"]]
    table, problems = with_resource(entry)
    parameters, mistakes = bind_table(table, stage.parameters)
    problems += mistakes
    inputs, mistakes = _read_inputs(entry, stage)
    lookup = partial(_reference_problem, earlier=earlier, ids=ids, stages=stages)
    problems += mistakes + [
        problem
        for slot, names in inputs.items()
        for name in names
        if (problem := lookup(name, stage, slot))
    ]
    where, mistakes = _read_where(entry, stage)
    spec = StageSpec(entry["id"], entry["use"], parameters, inputs, where)  # type: ignore[arg-type]
    return spec, problems + mistakes


def _is_text(entry: Table, key: str) -> bool:
    return isinstance(entry.get(key), str) and entry[key] != ""


def with_resource(entry: Table) -> tuple[dict[str, Any], list[str]]:
    """Parameters of the entry on top of those of the resource that ``from`` names; all mistakes.

    ``training/coarse.toml`` is the whole table of that file, ``...#sampling`` a table in it, and
    ``...#sampling.spacing_mm`` that key alone.
    """
    own = {key: value for key, value in entry.items() if key not in RESERVED}
    if "from" not in entry:
        return own, []
    name, _, keys = str(entry["from"]).partition("#")
    resource = files("FlareMRCore").joinpath("resources")
    if ".." in name or not resource.joinpath(name).is_file():
        return own, [f"'from': FlareMR has no resource {name!r}"]
    found: Any = tomllib.loads(resource.joinpath(name).read_text(encoding="utf-8"))
    for key in keys.split(".") if keys else ():
        if not isinstance(found, dict) or key not in found:
            return own, [f"'from': {name!r} has no '{keys}'"]
        found = found[key]
    table = found if isinstance(found, dict) else {keys.rpartition(".")[2]: found}
    return merged(table, own), []


def _read_inputs(entry: Table, stage: Stage) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Ids by slot, in the order of the stage's slots."""
    given = entry.get("inputs", {})
    if not isinstance(given, dict):
        return {}, [f"'inputs' should be a table, is {given!r}"]
    given = dict(given)
    problems = []
    if "input" in entry:
        first = next(iter(stage.slots), None)
        if first is None or first in given:
            problems.append("'input' names an input that this stage does not have, or twice")
        else:
            given[first] = entry["input"]
    slots = tuple(stage.slots)
    problems += [
        f"unknown input '{slot}'{closest(slot, slots)}" for slot in given if slot not in slots
    ]
    inputs: dict[str, tuple[str, ...]] = {}
    for slot in (name for name in slots if name in given):
        names = [given[slot]] if isinstance(given[slot], str) else given[slot]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            problems.append(f"input '{slot}' should be the id of a stage, is {names!r}")
        elif not names and not stage.slots[slot].required:
            continue  # a preset leaves out what the recipe gives
        elif len(names) != 1 and not stage.slots[slot].many:
            problems.append(f"input '{slot}' takes one stage, not {len(names)}")
        else:
            inputs[slot] = tuple(names)
    missing = [s for s, slot in stage.slots.items() if slot.required and not given.get(s)]
    return inputs, problems + [f"input '{slot}' is missing" for slot in missing]


def _reference_problem(
    name: str,
    stage: Stage,
    slot: str,
    *,
    earlier: Mapping[str, StageSpec],
    ids: list[str],
    stages: Mapping[str, Stage],
) -> str:
    wanted = stage.slots[slot].kind
    if name == DATASET_INPUT:
        found = CASES
    elif name in earlier:
        found = stages[earlier[name].use].output
    elif name in ids:
        return f"input '{slot}': stage '{name}' comes later, is skipped or has mistakes"
    else:
        return f"input '{slot}': there is no stage '{name}'{closest(name, ids)}"
    if found != wanted:
        scope = " and runs for each case" if stage.scope == "case" and wanted == CASES else ""
        return f"input '{slot}' takes {wanted}{scope}, '{name}' makes {found}"
    return ""


def _read_where(entry: Table, stage: Stage) -> tuple[CaseFilter, list[str]]:
    table = entry.get("where", {})
    if not isinstance(table, dict):
        return CaseFilter(), [f"'where' should be a table, is {table!r}"]
    first = next(iter(stage.slots.values()), None)
    if table and (first is None or first.kind != CASES):
        return CaseFilter(), ["'where' chooses cases, but the first input of this stage is none"]
    where, problems = bind_table(table, CaseFilter, prefix="where.")
    return where or CaseFilter(), problems


def merged(base: Table, change: Table) -> dict[str, Any]:
    """`base` with the values of `change`; tables are merged, everything else is replaced."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
