"""Verb `evaluate`: Dice, surface Dice, distance and volume of predictions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.cli.options import organ_names
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.labels import LabelTable, organ_table
from FlareMRCore.errors import BatchError, UsageError
from FlareMRCore.events import json_values
from FlareMRCore.imaging.metrics import MODES, Mode
from FlareMRCore.imaging.score_summary import Spread, summarize
from FlareMRCore.pipeline.evaluation import (
    Evaluation,
    evaluate,
    evaluation_csv,
    evaluation_json,
    match_pairs,
    only_error,
)
from FlareMRCore.pipeline.output_paths import check_targets


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score label maps against references",
        description="Score label maps against references, in the convention of the FLARE "
        "challenges and in the standard one. Files of two folders are matched by their stems.",
    )
    for role in ("reference", "prediction"):
        parser.add_argument(
            f"--{role}", type=Path, required=True, metavar="FILE|DIR", help=f"{role}s to compare"
        )
        parser.add_argument(
            f"--{role}-ending",
            default="",
            metavar="TEXT",
            help="to take off the stems, e.g. _label",
        )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="also write the scores, .json or .csv"
    )
    parser.add_argument("--organs", metavar="A,B", help="only these organs; default: all")
    parser.add_argument(
        "--annotated",
        default="",
        metavar="1,2",
        help="only these label values are in the references",
    )
    parser.add_argument("--metrics", choices=(*MODES, "both"), default="both", help="default: both")


def run(arguments: argparse.Namespace) -> int:
    """Print a table and write the scores; 0.

    Raises:
        InputError: nothing to compare.
        BatchError: some of several cases could not be compared.
    """
    reporter = job_reporter(arguments)
    labels = _labels(arguments.organs, arguments.annotated)
    pairs = match_pairs(
        arguments.reference,
        arguments.prediction,
        reference_ending=arguments.reference_ending,
        prediction_ending=arguments.prediction_ending,
    )
    check_targets(
        (p for pair in pairs for p in (pair.reference, pair.prediction)),
        statistics=arguments.output,
    )
    modes = MODES if arguments.metrics == "both" else (arguments.metrics,)
    evaluation = evaluate(pairs, labels, reporter, modes=modes)
    single = only_error(evaluation)
    if single is not None:
        raise single
    if arguments.output is not None:
        write = evaluation_csv if arguments.output.suffix.lower() == ".csv" else evaluation_json
        write_text_atomically(arguments.output, write(evaluation))
    reporter.result(_facts(evaluation, modes, arguments.output))
    if not arguments.json_progress:
        for mode in modes:
            write_line(_table(evaluation, mode))
            write_line()
    if evaluation.errors:
        raise BatchError(
            f"{len(evaluation.errors)} of {len(pairs)} cases could not be compared: "
            f"{', '.join(evaluation.errors)}.",
            code="batch.failed",
        )
    return 0


def _labels(organs: str | None, annotated: str) -> LabelTable:
    """The organs that are named and annotated.

    Raises:
        UsageError: an unknown organ or value, or none left.
    """
    table = organ_table()
    names = organ_names(organs)
    chosen = table.subset(names) if names else table
    if annotated:
        chosen = LabelTable(tuple(x for x in chosen if x.value in _values(annotated, table)))
    if not len(chosen):
        raise UsageError("No organ is both named and annotated.", code="usage.organ")
    return chosen


def _values(text: str, table: LabelTable) -> set[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdigit() or int(part) not in table.values]
    if wrong:
        raise UsageError(
            f"--annotated takes label values from {table.values[0]} to {table.values[-1]}; found "
            f"{', '.join(wrong)}.",
            code="usage.labels",
        )
    return {int(part) for part in parts}


def _facts(evaluation: Evaluation, modes: tuple[Mode, ...], output: Path | None) -> dict[str, Any]:
    means = {mode: summarize(evaluation.of_mode(mode)) for mode in modes}
    content = {
        "output": None if output is None else str(output),
        "cases": len(evaluation.scores),
        "failed": list(evaluation.errors),
        "mean_dice": {mode: summary.dice.mean for mode, summary in means.items()},
        "mean_surface_dice": {mode: summary.surface_dice.mean for mode, summary in means.items()},
    }
    facts: dict[str, Any] = json_values(content)
    return facts


def _table(evaluation: Evaluation, mode: Mode) -> str:
    """Means over cases by organ, and over organs in the last line."""
    summary = summarize(evaluation.of_mode(mode))
    rows = [
        (
            organ.organ,
            str(organ.dice.count),
            _text(organ.dice),
            _text(organ.surface_dice),
            _text(organ.hausdorff_95_mm, digits=1),
        )
        for organ in summary.organs
    ]
    overall = (summary.dice, summary.surface_dice, summary.hausdorff_95_mm)
    means = [Spread(value.mean, value.std_across_organs, 1) for value in overall]
    rows.append(("mean", "", _text(means[0]), _text(means[1]), _text(means[2], digits=1)))
    header = (f"organ ({mode})", "cases", "DSC", "NSD", "HD95 (mm)")
    return format_table(header, rows)


def _text(spread: Spread, *, digits: int = 3) -> str:
    return "-" if spread.mean != spread.mean else f"{spread.mean:.{digits}f}"
