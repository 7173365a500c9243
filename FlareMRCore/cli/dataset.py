"""Verb `dataset`: make, check, split and describe the manifest of a data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import JobReporter, format_table, job_reporter, write_line
from FlareMRCore.cli.options import organ_names
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.dataset import MODALITIES, Dataset
from FlareMRCore.data.dataset_build import MANIFEST_NAME, SHARES, BuildOptions, build_dataset
from FlareMRCore.data.dataset_layouts import LAYOUTS
from FlareMRCore.data.dataset_manifest import load_dataset, save_dataset
from FlareMRCore.data.labels import organ_table
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.events import json_values
from FlareMRCore.pipeline.dataset_check import check_dataset, report_lines, summarize_dataset
from FlareMRCore.pipeline.dataset_report import write_contact_sheet
from FlareMRCore.pipeline.dataset_table import case_rows, parse_shares, with_split
from FlareMRCore.pipeline.output_paths import check_targets


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its actions."""
    parser = subparsers.add_parser(
        "dataset",
        help="make, check and describe a data set",
        description="Make the manifest of a folder of images, check it, or describe it.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_build(actions)
    check = actions.add_parser("check", help="report everything that is wrong")
    check.add_argument("manifest", type=Path, metavar="MANIFEST", help="file that 'build' made")
    check.add_argument("--report", type=Path, metavar="JSON", help="write the report")
    check.add_argument("--sheet", type=Path, metavar="PNG", help="write pictures of the images")
    check.add_argument(
        "--held-out", type=Path, metavar="FILE", help="ids that must not be trained on, one a line"
    )
    summary = actions.add_parser("summary", help="count cases, sequences, organs")
    summary.add_argument("manifest", type=Path, metavar="MANIFEST", help="file that 'build' made")
    _add_table_actions(actions)


def _add_build(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = actions.add_parser("build", help="make a manifest from a folder or a CSV file")
    build.add_argument("source", type=Path, metavar="DIR|CSV", help="images, or a list of them")
    build.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: in the folder")
    build.add_argument(
        "--layout", choices=("auto", *LAYOUTS), default="auto", help="of the folder; default: auto"
    )
    build.add_argument("--name", default="", help="of the data set")
    build.add_argument("--license", default="not stated", help="terms of the data")
    build.add_argument("--origin", default="", help="where they come from")
    build.add_argument(
        "--modality", choices=MODALITIES, default="MR", help="if names do not tell; default: MR"
    )
    build.add_argument(
        "--annotated", metavar="A,B", help="organs looked for in every label map, or 'all'"
    )
    build.add_argument("--no-checksums", action="store_true", help="faster, finds no duplicates")
    build.add_argument(
        "--validate-share",
        type=float,
        default=SHARES["validate"],
        metavar="X",
        help="of the patients; default: %(default)s",
    )
    build.add_argument("--seed", type=int, default=0, help="of the split by patient")


def _add_table_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions cases and split."""
    cases = actions.add_parser("cases", help="list cases with their files and parts")
    cases.add_argument("manifest", type=Path, metavar="MANIFEST", help="file that 'build' made")
    cases.add_argument("--json", action="store_true", help="write JSON")
    split = actions.add_parser("split", help="split by patient anew, and save that")
    split.add_argument("manifest", type=Path, metavar="MANIFEST", help="file that 'build' made")
    split.add_argument(
        "shares", nargs="+", metavar="PART=SHARE", help="e.g. train=0.7 validate=0.1 test=0.2"
    )
    split.add_argument("--seed", type=int, default=0, help="of the split")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; 0.

    Raises:
        DatasetError: the data set cannot be built, or the check found errors.
    """
    reporter = job_reporter(arguments)
    if arguments.action == "build":
        return _build(arguments, reporter)
    dataset = load_dataset(arguments.manifest)
    if arguments.action == "check":
        return _check(arguments, dataset, reporter)
    if arguments.action == "cases":
        _list(arguments, reporter, dataset)
        return 0
    if arguments.action == "split":
        dataset = with_split(dataset, parse_shares(arguments.shares), seed=arguments.seed)
        save_dataset(arguments.manifest, dataset)
    _show(arguments, reporter, summarize_dataset(dataset))
    return 0


def _list(arguments: argparse.Namespace, reporter: JobReporter, dataset: Dataset) -> None:
    rows = case_rows(dataset)
    reporter.result({"name": dataset.name, "cases": rows})
    if arguments.json_progress:
        return
    if arguments.json:
        write_line(json.dumps(json_values({"name": dataset.name, "cases": rows}), indent=1))
        return
    cells = [
        [
            row["case"],
            row["patient"],
            row["modality"],
            ", ".join(row["images"]),
            row["label_source"] or "-",
            str(len(row["annotated"])),
            row["part"] or "-",
        ]
        for row in rows
    ]
    header = ("case", "patient", "modality", "sequences", "labels", "organs", "part")
    write_line(format_table(header, cells))


def _build(arguments: argparse.Namespace, reporter: JobReporter) -> int:
    source: Path = arguments.source
    root = source if source.is_dir() else source.parent
    output: Path = arguments.output or root / MANIFEST_NAME
    if output.resolve().parent != root.resolve():
        raise UsageError(
            f"The manifest must lie in '{root}', because its paths are relative to it; found "
            f"'{output}'.",
            code="usage.manifest",
        )
    dataset = build_dataset(source, _options(arguments), reporter=reporter)
    save_dataset(output, dataset)
    _show(arguments, reporter, {"manifest": str(output), **summarize_dataset(dataset)})
    return 0


def _options(arguments: argparse.Namespace) -> BuildOptions:
    share: float = arguments.validate_share
    if not 0 <= share < 1:
        raise UsageError(
            f"--validate-share lies between 0 and 1; found {share}.", code="usage.split"
        )
    shares = {"train": 1 - share} | ({"validate": share} if share else {})
    return BuildOptions(
        layout=arguments.layout,
        name=arguments.name,
        license=arguments.license,
        origin=arguments.origin,
        modality=arguments.modality,
        annotated=_organs(arguments.annotated),
        checksums=not arguments.no_checksums,
        shares=shares,
        seed=arguments.seed,
    )


def _organs(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    table = organ_table()
    chosen = table if text == "all" else table.subset(organ_names(text, "--annotated"))
    return tuple(label.id for label in chosen)


def _check(arguments: argparse.Namespace, dataset: Dataset, reporter: JobReporter) -> int:
    check_targets((arguments.manifest,), preview=arguments.sheet)
    held_out: tuple[str, ...] = ()
    if arguments.held_out is not None:
        held_out = tuple(arguments.held_out.read_text(encoding="utf-8").split())
    report = check_dataset(dataset, reporter, held_out=held_out)
    if arguments.report is not None:
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False)
        write_text_atomically(arguments.report, text + "\n")
    if arguments.sheet is not None:
        write_contact_sheet(arguments.sheet, dataset, reporter)
    reporter.result(report.as_dict())
    if not arguments.json_progress:
        for line in report_lines(report):
            write_line(line)
    if report.errors:
        raise DatasetError(
            f"The data set '{dataset.name}' has {report.errors} errors.",
            code="dataset.check",
            hint="They are listed above; correct them or leave the cases out.",
        )
    return 0


def _show(arguments: argparse.Namespace, reporter: JobReporter, facts: dict[str, Any]) -> None:
    reporter.result(facts)
    if arguments.json_progress:
        return
    for key, value in facts.items():
        inner = (
            ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        write_line(f"{key}: {inner}")
