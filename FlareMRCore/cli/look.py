"""Verb `look`: what a run has to show, and what its filters kept and rejected."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.cli.options import add_store_argument
from FlareMRCore.errors import DatasetError
from FlareMRCore.events import json_values
from FlareMRCore.pipeline.look import KINDS, FilterSummary, Sight, filter_summaries, sights
from FlareMRCore.pipeline.run_reading import RunReading, read_run, runs_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "look",
        help="list images and filter reports of a run",
        description="Lists fake MR beside the CT it was made of, pseudo-labels, and fixed and "
        "warped images, the latest first, with their files; then what filters of pseudo-labels "
        "kept and rejected, and why.",
    )
    add_store_argument(parser)
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="folder of the run; default: the newest"
    )
    parser.add_argument("--kind", choices=KINDS, help="only this kind")


def run(arguments: argparse.Namespace) -> int:
    """List; 0.

    Raises:
        DatasetError: there is no run, or its files are damaged.
    """
    reporter = job_reporter(arguments)
    found = _run(arguments)
    shown = [s for s in sights(found) if arguments.kind in (None, s.kind)]
    filters = filter_summaries(found)
    content = {
        "run": found.folder,
        "sights": [asdict(sight) for sight in shown],
        "filters": [asdict(summary) for summary in filters],
    }
    reporter.result(json_values(content))
    if arguments.json_progress:
        return 0
    write_line(f"Run: {found.folder}\n")
    header = ("kind", "stage", "case", "background", "foreground", "labels")
    write_line(format_table(header, [_row(sight) for sight in shown]))
    for summary in filters:
        _write_filter(summary)
    return 0


def _run(arguments: argparse.Namespace) -> RunReading:
    if arguments.run is not None:
        return read_run(arguments.run)
    newest = next(iter(runs_of(arguments.store)), None)
    if newest is None:
        raise DatasetError(
            f"There is no run in the store '{arguments.store}'.",
            code="run.none",
            hint="Give the store of a recipe with --store.",
        )
    return newest


def _row(sight: Sight) -> list[str]:
    files = (sight.background, sight.foreground, sight.labels)
    return [sight.kind, sight.stage_id, sight.case_id, *(str(f) if f else "-" for f in files)]


def _write_filter(summary: FilterSummary) -> None:
    write_line(f"\nFilter '{summary.filter}' (stage {summary.stage_id})\n")
    sequences = [[name, str(kept), str(rejected)] for name, kept, rejected in summary.sequences]
    write_line(format_table(("sequence", "kept", "rejected"), sequences) + "\n")
    organs = [[name, str(ok), str(failed), why] for name, ok, failed, why in summary.organs]
    write_line(format_table(("organ", "passed", "failed", "rules"), organs) + "\n")
    cases = [
        [case, sequence, "kept" if kept else "rejected", reason]
        for case, sequence, kept, reason in summary.cases
    ]
    write_line(format_table(("case", "sequence", "labels", "why"), cases))
