"""The table of failures names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
TABLE = REPOSITORY / "Testing" / "failures.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
MET_BY_THE_CORE = {*range(1, 7), 8, *range(10, 21), *range(24, 30), *range(31, 34)}


def rows(table: Path = TABLE) -> dict[int, list[str]]:
    """Tests by number of the failure, or of the row of another table."""
    text = table.read_text(encoding="utf-8")
    return {int(number): re.findall(r"`([^`]+)`", tests) for number, _, tests in ROW.findall(text)}


def has_test(test_id: str) -> bool:
    """True if the file of `test_id` defines that function."""
    name, _, function = test_id.partition("::")
    path = REPOSITORY / name
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(n, ast.FunctionDef) and n.name == function for n in ast.walk(tree))


def test_every_failure_the_core_can_meet_has_tests() -> None:
    found = rows()
    assert MET_BY_THE_CORE - found.keys() == set()
    assert [number for number, tests in found.items() if not tests] == []


def test_named_tests_exist() -> None:
    assert [test for tests in rows().values() for test in tests if not has_test(test)] == []


def test_a_missing_test_is_noticed() -> None:
    assert not has_test("Testing/core/failures/test_failure_table.py::test_of_nothing")
    assert not has_test("Testing/core/failures/test_nothing.py::test_named_tests_exist")
