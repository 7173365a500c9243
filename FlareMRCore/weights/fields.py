"""Typed access to JSON objects that notes every mistake instead of stopping at the first."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from FlareMRCore.data.geometry import Shape, Triple

_REQUIRED = object()


class Fields:
    """One JSON object while it is read.

    A wrong value is noted in `mistakes` and stood in for by a harmless one, so that one error
    can list all that is wrong in a file. Whoever reads must look at `mistakes` in the end.
    """

    def __init__(self, content: object, where: str, mistakes: list[str]) -> None:
        self.where = where
        self.mistakes = mistakes
        self._known: set[str] = set()
        self._content: Mapping[str, Any] = content if isinstance(content, dict) else {}
        if not isinstance(content, dict):
            self.note(f"expected an object, found {_short(content)}")

    def note(self, mistake: str) -> None:
        """Keep one mistake, with the place it was found at."""
        self.mistakes.append(f"{self.where}: {mistake}" if self.where else mistake)

    def text(
        self, key: str, *, pattern: str = r"(?s).+", expected: str = "text", default: object = None
    ) -> str:
        """The string at `key`, which `pattern` must match as a whole."""
        value = self._take(
            key,
            lambda found: isinstance(found, str) and re.fullmatch(pattern, found) is not None,
            expected,
            _REQUIRED if default is None else default,
        )
        return value if isinstance(value, str) else ""

    def integer(self, key: str, *, minimum: int) -> int:
        """The whole number at `key`."""
        expected = f"a whole number of at least {minimum}"
        value = self._take(key, lambda found: _is_integer(found, minimum), expected)
        return value if isinstance(value, int) else minimum

    def number(self, key: str, *, minimum: float, default: float) -> float:
        """The number at `key`."""
        expected = f"a number of at least {minimum:g}"
        value = self._take(key, lambda found: _is_number(found, minimum), expected, default)
        return minimum if value is None else float(value)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """The truth value at `key`."""
        fallback = _REQUIRED if default is None else default
        value = self._take(key, lambda found: isinstance(found, bool), "true or false", fallback)
        return bool(value)

    def lengths(self, key: str) -> Triple | None:
        """Three positive numbers (K, J, I), or None for null or no such key."""
        value = self._take(
            key,
            lambda found: found is None or _is_three(found, lambda one: _is_number(one, 1e-6)),
            "null or three positive numbers",
            None,
        )
        return None if value is None else (float(value[0]), float(value[1]), float(value[2]))

    def margin(self, key: str) -> float | Triple:
        """One number that is not negative or three (K, J, I); 0 if there is no such key."""
        value = self._take(
            key,
            lambda found: _is_number(found, 0.0) or _is_three(found, lambda n: _is_number(n, 0.0)),
            "a number of at least 0, or three",
            0.0,
        )
        if isinstance(value, list):
            return float(value[0]), float(value[1]), float(value[2])
        return float(value or 0.0)

    def shape(self, key: str) -> Shape | None:
        """Three positive whole numbers (K, J, I), or None for null or no such key."""
        value = self._take(
            key,
            lambda found: found is None or _is_three(found, lambda one: _is_integer(one, 1)),
            "null or three positive whole numbers",
            None,
        )
        return None if value is None else (value[0], value[1], value[2])

    def texts(self, key: str, *, pattern: str, expected: str) -> tuple[str, ...]:
        """The list of strings at `key`; empty if there is no such key."""
        value = self._take(
            key,
            lambda found: (
                isinstance(found, list)
                and all(isinstance(one, str) and re.fullmatch(pattern, one) for one in found)
            ),
            f"a list of {expected}",
            [],
        )
        return tuple(value or ())

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The object at `key`, unchecked inside; empty for null or no such key."""
        value = self._take(
            key, lambda found: found is None or isinstance(found, dict), "an object or null", {}
        )
        return dict(value or {})

    def objects(self, key: str) -> tuple[Fields, ...]:
        """The objects of the list at `key`, each to be read in turn."""
        value = self._take(key, lambda found: isinstance(found, list), "a list of objects")
        return tuple(
            Fields(one, self._at(f"{key}[{index}]"), self.mistakes)
            for index, one in enumerate(value or ())
        )

    def nested(self, key: str) -> Fields | None:
        """The object at `key`, to be read in turn, or None for null or no such key."""
        value = self._take(
            key, lambda found: found is None or isinstance(found, dict), "an object or null", None
        )
        return None if value is None else Fields(value, self._at(key), self.mistakes)

    def finish(self) -> None:
        """Note the keys that nobody read: most of them are typing errors."""
        for key in self._content:
            if key not in self._known:
                self.note(f"unknown key '{key}'; known are {', '.join(sorted(self._known))}")

    def _at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _take(
        self,
        key: str,
        accepts: Callable[[Any], bool],
        expected: str,
        default: object = _REQUIRED,
    ) -> Any:
        """The value at `key` if accepted, the default if absent, None after a mistake."""
        self._known.add(key)
        if key not in self._content:
            if default is not _REQUIRED:
                return default
            self.note(f"{key} is missing; expected {expected}")
            return None
        value = self._content[key]
        if accepts(value):
            return value
        self.note(f"{key}: expected {expected}, found {_short(value)}")
        return None


def _is_number(value: object, minimum: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= minimum


def _is_integer(value: object, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_three(value: object, accepts: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(accepts(one) for one in value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
