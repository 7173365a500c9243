"""Tables (from TOML or JSON) as frozen dataclasses; every mistake is found, not just the first."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from FlareMRCore.errors import UsageError

Bound = TypeVar("Bound")


def bind_table(
    table: Mapping[str, Any], target: type[Bound], *, prefix: str = ""
) -> tuple[Bound | None, list[str]]:
    """The table as a `target`, and all mistakes: unknown, missing and mistyped keys, bad values.

    Lists become tuples, whole numbers become float where the field is one, tables become nested
    dataclasses. A `UsageError` that `target` raises about its values is one of the mistakes.

    Args:
        table: keys are names of fields.
        target: a dataclass.
        prefix: put before the names of keys in messages, e.g. ``"sampling."``.

    Returns:
        The value, or None if there are mistakes; the mistakes, one sentence each.
    """
    hints = get_type_hints(target)
    known = {field.name: field for field in _fields(target)}
    problems = [_unknown(prefix, key, known) for key in table if key not in known]
    problems += [
        f"'{prefix}{name}' is missing"
        for name, field in known.items()
        if name not in table and field.default is MISSING and field.default_factory is MISSING
    ]
    values: dict[str, Any] = {}
    for key in table.keys() & known.keys():
        values[key], found = _convert(table[key], hints[key], prefix + key)
        problems += found
    if problems:
        return None, sorted(problems)
    try:
        return target(**values), []
    except UsageError as error:
        return None, [str(error)]


def closest(word: str, known: Sequence[str]) -> str:
    """A question with the known word that looks most like `word`; empty if none does."""
    found = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""


def _fields(target: type) -> tuple[Field[Any], ...]:
    return fields(target)


def _unknown(prefix: str, key: str, known: Mapping[str, Any]) -> str:
    return f"unknown key '{prefix}{key}'{closest(key, tuple(known))}"


def _convert(value: Any, hint: Any, name: str) -> tuple[Any, list[str]]:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None, []
        inner = [kind for kind in get_args(hint) if kind is not NoneType]
        return _convert(value, inner[0], name)
    if origin is Literal:
        good = value in get_args(hint)
        return value, [] if good else [f"'{name}' is {value!r}, not one of {get_args(hint)}"]
    if origin is tuple:
        return _tuple(value, get_args(hint), name)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(value, get_args(hint)[1], name)
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            return None, [f"'{name}' should be a table, is {value!r}"]
        return bind_table(value, hint, prefix=name + ".")
    return _scalar(value, hint, name)


def _scalar(value: Any, hint: Any, name: str) -> tuple[Any, list[str]]:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value), []
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value, []
    return None, [f"'{name}' should be {_words(hint)}, is {value!r}"]


def _tuple(value: Any, kinds: tuple[Any, ...], name: str) -> tuple[Any, list[str]]:
    if not isinstance(value, list | tuple):
        return None, [f"'{name}' should be a list, is {value!r}"]
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        return None, [f"'{name}' should have {len(kinds)} values, has {len(value)}"]
    pairs = [
        _convert(item, kind, f"{name}[{n}]")
        for n, (item, kind) in enumerate(zip(value, kinds, strict=True))
    ]
    return tuple(item for item, _ in pairs), [p for _, found in pairs for p in found]


def _mapping(value: Any, kind: Any, name: str) -> tuple[Any, list[str]]:
    if not isinstance(value, Mapping):
        return None, [f"'{name}' should be a table, is {value!r}"]
    pairs = {key: _convert(item, kind, f"{name}.{key}") for key, item in value.items()}
    problems = [p for _, found in pairs.values() for p in found]
    return {key: item for key, (item, _) in pairs.items()}, problems


def _words(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return words.get(hint, str(hint))
