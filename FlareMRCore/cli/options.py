"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path

from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.artifact_store import DEFAULT_STORE

COMMON = {
    "--json-progress": "write progress, messages and the result as JSON lines",
    "--debug": "if it fails, write the traceback to stderr too",
}


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    return _whole(text, 0)


def organ_names(text: str | None, option: str = "--organs") -> tuple[str, ...]:
    """Names between commas; empty if `text` is None: all organs.

    Raises:
        UsageError: `text` holds no name.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(
            f"{option} names no organ; found '{text}'.",
            code="usage.organ",
            hint="Write names with commas between them, or leave it out for all organs.",
        )
    return names


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --device and --threads."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto"
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="processor threads; default: torch's choice"
    )


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Add --store."""
    parser.add_argument(
        "--store",
        type=Path,
        default=DEFAULT_STORE,
        metavar="FOLDER",
        help="where what stages made and runs are kept; default: %(default)s",
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every verb and every step of a verb takes, to `parser` and to those below it."""
    for option, text in COMMON.items():
        # No default: that of a step would undo what was given before the step.
        parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step in action.choices.values():
                add_common_arguments(step)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, found '{text}'")
    return number
