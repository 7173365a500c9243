"""ErrorMessages: every error code of the project has a message and a button."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from FlareMRSegLib import ErrorMessages
from FlareMRSegLib.ErrorMessages import actionLabels, helpFor, isKnown, textFor
from FlareMRSegLib.Job import JobError

from FlareMRCore import errors
from FlareMRCore.cli.main import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]


def codes() -> set[str]:
    """Every code that is raised or reported anywhere."""
    found = {f"dependency.{package.lower()}" for package in PACKAGES}
    for folder in ("FlareMRCore", "FlareMRSeg"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    found |= set(_codes_in(node))
    return found


def _codes_in(call: ast.Call) -> list[str]:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    if isinstance(call.func, ast.Name) and call.func.id == "JobError":
        values += call.args[:1]
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]


def test_every_code_has_a_message() -> None:
    assert len(codes()) > 60, "the search for codes must find them"
    assert [code for code in sorted(codes()) if not isKnown(code)] == []


def test_every_message_has_a_button_that_exists() -> None:
    actions = {
        value
        for name, value in vars(ErrorMessages).items()
        if name.isupper() and isinstance(value, str)
    }
    assert set(actionLabels()) == actions
    for code in codes():
        found = helpFor(code)
        assert found.title.endswith(".")
        assert found.action in actions
        assert found.actionLabel or found.action == ErrorMessages.NO_ACTION


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("input.looks-like-ct", ErrorMessages.ALLOW_CT),
        ("dependency.torch", ErrorMessages.INSTALL_TORCH),
        ("memory.exhausted", ErrorMessages.USE_FAST_MODE),
        ("weights.not-installed", ErrorMessages.DOWNLOAD_WEIGHTS),
        ("usage.device", ErrorMessages.USE_AUTO_DEVICE),
        ("process.start", ErrorMessages.OPEN_SETUP),
    ],
)
def test_the_button_fits_the_error(code: str, action: str) -> None:
    assert helpFor(code).action == action


def test_the_override_of_ct_comes_from_the_code_the_engine_raises() -> None:
    assert "input.looks-like-ct" in codes()


@pytest.mark.parametrize("exit_code", [1, 2, 3, 4, 5, 6, 7, 130])
def test_an_unknown_code_is_helped_by_its_exit_code(exit_code: int) -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    assert exit_code in {getattr(c, "exit_code", None) for c in classes}
    found = helpFor("from.the-future", exit_code)
    assert found.title
    assert (found == helpFor("internal")) == (exit_code == 1)


def test_the_text_says_what_exactly_and_what_to_do() -> None:
    error = JobError("weights.damaged", "coarse.pt has 3 bytes.", "Fetch it again.", 4)
    assert textFor(error).splitlines() == [
        "The weights are damaged.",
        "coarse.pt has 3 bytes.",
        "Fetch it again.",
    ]
