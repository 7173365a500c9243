"""Verb `doctor`: a block of facts about this computer, to paste in an issue."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from FlareMRCore.cli.console import job_reporter, write_line
from FlareMRCore.pipeline.doctor import diagnose


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation; prints a block for bug reports",
        description="Check versions, graphics card, memory, disks, permissions and weights.",
    )
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the diagnosis; 0, also if there are problems."""
    diagnosis = diagnose()
    job_reporter(arguments).result(asdict(diagnosis))
    if arguments.json_progress:
        return 0
    if arguments.json:
        write_line(json.dumps(asdict(diagnosis), indent=1, ensure_ascii=False))
    else:
        write_line(diagnosis.as_text())
    return 0
