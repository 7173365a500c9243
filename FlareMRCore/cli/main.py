"""The command line: finds the verb, runs it, and turns every outcome into an exit code."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from FlareMRCore import __version__
from FlareMRCore.cli.console import job_reporter, use_utf8, write_line
from FlareMRCore.cli.interrupts import Cancellation, watch_signals
from FlareMRCore.cli.options import add_common_arguments
from FlareMRCore.errors import (
    Cancelled,
    DependencyError,
    FlareMRError,
    InputError,
    OutOfMemoryError,
    UsageError,
)

COMMAND = "flaremr"
"""Name of the installed command."""

VERBS = (
    "segment",
    "evaluate",
    "dataset",
    "train",
    "recipe",
    "look",
    "review",
    "networks",
    "weights",
    "devices",
    "doctor",
    "phantom",
    "demo",
)
"""Each is a module of this package with `add_parser(subparsers)` and `run(arguments) -> int`."""

PACKAGES = {
    "torch": "torch (in Slicer: the PyTorch extension)",
    "SimpleITK": "SimpleITK",
    "numpy": "numpy",
    "scipy": "scipy",
    "cc3d": "connected-components-3d",
    "requests": "requests",
}
"""Import name of the packages needed at run time, and what to install."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: those of `FlareMRCore.errors`, 0 if all went well."""
    use_utf8()
    words = list(sys.argv[1:] if argv is None else argv)
    cancellation = Cancellation()
    arguments = argparse.Namespace(json_progress="--json-progress" in words, debug=False)
    arguments.is_cancelled = cancellation
    try:
        with watch_signals(cancellation):
            modules = _modules(words)
            _parse(_parser(modules), words, arguments)
            code = modules[arguments.verb].run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException as failure:  # the edge: every failure becomes one line and a code
        return _report(failure, arguments)
    return int(code)


def known_error(failure: BaseException) -> FlareMRError | None:
    """The failure as an error for people, or None if it is a defect of the program."""
    if isinstance(failure, FlareMRError):
        return failure
    if isinstance(failure, KeyboardInterrupt):
        return Cancelled()
    if isinstance(failure, MemoryError):
        return OutOfMemoryError(
            "The computer ran out of memory.",
            code="memory.host",
            hint="Close other programs or use '--mode fast'.",
        )
    if isinstance(failure, ModuleNotFoundError):
        return _missing_package(failure)
    if isinstance(failure, OSError) and failure.filename is not None:
        return InputError(
            f"'{failure.filename}' cannot be used: {failure.strerror}.",
            code="input.file",
            hint="Check the path, the permissions and the free space.",
        )
    return None


def _missing_package(failure: ModuleNotFoundError) -> DependencyError | None:
    package = (failure.name or "").partition(".")[0]
    if package not in PACKAGES:
        return None
    return DependencyError(
        f"The package '{package}' is not installed.",
        code=f"dependency.{package.lower()}",
        hint=f"Install {PACKAGES[package]}, e.g. 'pip install {PACKAGES[package].split()[0]}'.",
    )


def _modules(words: Sequence[str]) -> dict[str, ModuleType]:
    """Modules by verb: the named one alone, or all if the first word names none (help)."""
    named = [verb for verb in VERBS if verb in words[:1]]
    return {verb: import_module(f"FlareMRCore.cli.{verb}") for verb in named or _present()}


def _present() -> list[str]:
    return [verb for verb in VERBS if find_spec(f"FlareMRCore.cli.{verb}") is not None]


def _parser(modules: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(),
        description="Segment 13 abdominal organs in MR images. 'VERB --help' lists the options of "
        "a verb.",
        epilog="Exit codes: 0 done, 1 internal error, 2 wrong usage, 3 input, 4 weights, 5 memory, "
        "6 some cases of a batch failed, 7 a package is missing, 130 cancelled.",
    )
    parser.add_argument("--version", action="version", version=f"FlareMR {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in modules.values():
        module.add_parser(subparsers)
    for verb in subparsers.choices.values():
        add_common_arguments(verb)
    return parser


def _program() -> str:
    """How this was called, for the help."""
    name = Path(sys.argv[0]).stem
    return COMMAND if name == COMMAND else "python -m FlareMRCore"


def _parse(
    parser: argparse.ArgumentParser, words: Sequence[str], arguments: argparse.Namespace
) -> None:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parser.parse_args(words, arguments)
    except SystemExit as end:
        if not end.code:
            raise
        usage, _, message = complaint.getvalue().rpartition("error: ")
        if not arguments.json_progress:
            write_line(usage.rpartition("\n")[0], to_stderr=True)
        raise UsageError(
            f"{message.strip() or 'Wrong arguments'}.",
            code="usage.arguments",
            hint="Add --help to see the options.",
        ) from None


def _report(failure: BaseException, arguments: argparse.Namespace) -> int:
    error = known_error(failure) or _internal_error(failure)
    if arguments.debug:
        write_line("".join(traceback.format_exception(failure)), to_stderr=True)
    with contextlib.suppress(Cancelled):  # the reader of the JSON lines may be gone
        job_reporter(arguments).error(error)
    return error.exit_code


def _internal_error(failure: BaseException) -> FlareMRError:
    where = _write_details(failure)
    text = str(failure).partition("\n")[0]
    return FlareMRError(
        f"Internal error ({type(failure).__name__}: {text}).",
        code="internal",
        hint=f"Details are in '{where}'." if where else "Run it again with --debug for details.",
    )


def _write_details(failure: BaseException) -> Path | None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="flaremr-error-", suffix=".txt", delete=False
        ) as file:
            file.writelines(traceback.format_exception(failure))
    except OSError:
        return None
    return Path(file.name)
