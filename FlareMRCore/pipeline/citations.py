"""Which works a stage of a run rests on, and the sentence that tells of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from FlareMRCore.data.binding import bind_table
from FlareMRCore.errors import RecipeError

PLACEHOLDER = re.compile(r"\{([a-z0-9_.]+)\}")


@dataclass(frozen=True, slots=True)
class Work:
    """Something to cite: its text as in a list of references, and where it lies."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class CitationRule:
    """When works are cited; empty conditions always hold, see resources/citations.toml."""

    works: tuple[str, ...]
    recipe: str = ""
    stage: str = ""
    parameter: str = ""
    value: str = ""
    below: float | None = None
    backend: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """What was used: a recipe alone, or one stage of it.

    Attributes:
        recipe: its name; empty if the use is of a stage.
        stage: kind of stage; empty if the use is of a recipe.
        parameters: of the stage, as recorded.
        backends: packages that the records of the stage name.
    """

    recipe: str = ""
    stage: str = ""
    parameters: Mapping[str, Any] | None = None
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Citations:
    """Content of resources/citations.toml.

    Attributes:
        works: by key.
        rules: when they are cited.
        sentences: by kind of stage.
    """

    works: Mapping[str, Work]
    rules: tuple[CitationRule, ...]
    sentences: Mapping[str, str]

    def of(self, use: Use) -> tuple[str, ...]:
        """Keys of the works that this use rests on, each once, in order of the rules."""
        return tuple(
            dict.fromkeys(key for rule in self.rules if _holds(rule, use) for key in rule.works)
        )

    def sentence(self, stage: str, parameters: Mapping[str, Any]) -> str:
        """What the stage does, with its parameters.

        A stage that has no sentence, or whose sentence names a parameter that was not recorded,
        is told of by its name alone.
        """
        template = self.sentences.get(stage, "")
        values = {name: _find(parameters, name) for name in PLACEHOLDER.findall(template)}
        if not template or any(value is None for value in values.values()):
            return f"Stage '{stage}' was run."
        return PLACEHOLDER.sub(lambda match: value_text(values[match.group(1)]), template)


@cache
def load_citations() -> Citations:
    """What resources/citations.toml holds.

    Raises:
        RecipeError: that file has mistakes.
    """
    text = files("FlareMRCore").joinpath("resources/citations.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    works, problems = bind_table(content, _File)
    if works is None:
        raise RecipeError(f"citations.toml: {'; '.join(problems)}", code="internal")
    return Citations(works.works, works.cited, works.stages)


def value_text(value: Any) -> str:
    """A parameter for people: lists with commas, numbers as short as they are exact."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " x ".join(map(value_text, value)) if _is_size(value) else _listed(value)
    return str(value)


@dataclass(frozen=True, slots=True)
class _File:
    works: Mapping[str, Work]
    cited: tuple[CitationRule, ...]
    stages: Mapping[str, str]


def _is_size(value: Sequence[Any]) -> bool:
    numbers = all(isinstance(item, int | float) for item in value)
    return numbers and len(value) in (2, 3)


def _listed(value: Sequence[Any]) -> str:
    return ", ".join(map(value_text, value))


def _holds(rule: CitationRule, use: Use) -> bool:
    if rule.recipe or use.recipe:
        return rule.recipe == use.recipe
    return (
        rule.stage in ("", use.stage)
        and (not rule.backend or rule.backend in use.backends)
        and (not rule.parameter or _has_value(use.parameters or {}, rule))
    )


def _has_value(parameters: Mapping[str, Any], rule: CitationRule) -> bool:
    """Whether a parameter of that name, at any depth, fits the pattern or lies below the limit."""
    values = [value for name, value in _leaves(parameters) if name == rule.parameter]
    if rule.below is not None:
        return any(isinstance(value, int | float) and value < rule.below for value in values)
    return any(isinstance(value, str) and fnmatchcase(value, rule.value) for value in values)


def _leaves(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value


def _find(parameters: Mapping[str, Any], path: str) -> Any:
    """The parameter at a dotted path; None if there is none."""
    value: Any = parameters
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
