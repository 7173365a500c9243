from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from FlareMRCore.data.binding import bind_table
from FlareMRCore.errors import UsageError


@dataclass(frozen=True)
class Inner:
    size_mm: float = 1.0
    shapes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    steps: int = 3
    rate: float | None = None
    quick: bool = False
    mode: Literal["a", "b"] = "a"
    inner: Inner = field(default_factory=Inner)
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError("'steps' is negative")


def test_values_get_the_types_of_the_fields() -> None:
    table = {
        "name": "x",
        "rate": 2,
        "inner": {"size_mm": 4, "shapes": [[1, 2], [3, 4]]},
        "weights": {"liver": 1},
    }
    value, problems = bind_table(table, Outer)
    assert problems == []
    assert value == Outer("x", rate=2.0, inner=Inner(4.0, ((1, 2), (3, 4))), weights={"liver": 1.0})
    assert isinstance(value.inner.size_mm, float)


def test_none_is_a_value_where_the_field_may_have_none() -> None:
    value, mistakes = bind_table({"name": "x", "rate": None}, Outer)
    assert (value, mistakes) == (Outer("x"), [])


def test_every_mistake_is_reported() -> None:
    table = {
        "stpes": 3,
        "steps": True,
        "quick": 1,
        "mode": "c",
        "inner": {"size_mm": "big", "shapes": [[1, 2, 3]], "no": 1},
        "weights": {"liver": "heavy"},
    }
    value, problems = bind_table(table, Outer)
    assert value is None
    text = "\n".join(problems)
    for part in (
        "unknown key 'stpes' (did you mean 'steps'?)",
        "'name' is missing",
        "'steps' should be a whole number, is True",
        "'quick' should be true or false, is 1",
        "'mode' is 'c', not one of",
        "'inner.size_mm' should be a number, is 'big'",
        "'inner.shapes[0]' should have 2 values, has 3",
        "unknown key 'inner.no'",
        "'weights.liver' should be a number",
    ):
        assert part in text
    assert len(problems) == 9


@pytest.mark.parametrize(
    ("key", "value"), [("inner", 3), ("weights", 3), ("name", ["x"]), ("steps", 1.5)]
)
def test_a_wrong_kind_is_named(key: str, value: object) -> None:
    bound, problems = bind_table({"name": "x", key: value}, Outer)
    assert bound is None
    assert len(problems) == 1
    assert f"'{key}' should be" in problems[0]


def test_what_the_dataclass_refuses_is_a_problem_too() -> None:
    assert bind_table({"name": "x", "steps": -1}, Outer) == (None, ["'steps' is negative"])
