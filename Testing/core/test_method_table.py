"""The table of what the published methods must do names tests that exist."""

from __future__ import annotations

from Testing.core.failures.test_failure_table import REPOSITORY, has_test, rows

TABLE = REPOSITORY / "Testing" / "methods.md"
ROWS = set(range(1, 18))


def test_every_row_has_tests() -> None:
    found = rows(TABLE)
    assert found.keys() == ROWS
    assert [number for number, tests in found.items() if not tests] == []


def test_named_tests_exist() -> None:
    assert [test for tests in rows(TABLE).values() for test in tests if not has_test(test)] == []
