"""Verb `segment`: organs of one image, of several, or of a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import JobReporter, format_table, job_reporter, write_line
from FlareMRCore.cli.options import add_machine_arguments, natural, organ_names, positive
from FlareMRCore.data.labels import structure_table
from FlareMRCore.errors import BatchError, FlareMRError, UsageError
from FlareMRCore.pipeline.batch import BatchOptions, run_batch
from FlareMRCore.pipeline.engine import EngineOptions
from FlareMRCore.pipeline.inputs import FoundInputs, find_inputs
from FlareMRCore.pipeline.manifest import FAILED, MANIFEST_NAME, Manifest
from FlareMRCore.pipeline.output_paths import has_segmentation_suffix
from FlareMRCore.pipeline.segment_case import CaseResult, SegmentFileOptions, segment_file
from FlareMRCore.pipeline.statistics import OrganStatistics

MODES = ("fast", "standard", "accurate")
FORMATS = (".nii.gz", ".seg.nrrd", ".nrrd", ".nii", ".mha")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "segment",
        help="segment the organs in one image, several, or a folder",
        description="Segment abdominal organs. A folder is a batch: one bad image does not stop "
        "it, and --resume goes on where it ended. A 4-D image gives one output for each frame.",
    )
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="image, folder or DICOM folder"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="file, or folder for several images; files that exist are replaced",
    )
    add_engine_arguments(parser)
    parser.add_argument("--frame", type=natural, metavar="N", help="only this frame of a 4-D image")
    parser.add_argument("--series", metavar="S", help="DICOM series: UID, number or description")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=".nii.gz",
        help="of a folder's files; default: .nii.gz",
    )
    parser.add_argument("--statistics", type=Path, metavar="FILE", help="table (.csv or .json)")
    parser.add_argument("--preview", type=Path, metavar="FILE", help="picture (.png), or folder")
    parser.add_argument(
        "--confidence-map",
        type=Path,
        metavar="FILE",
        help="image with the probability of each voxel's label",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="report (.html or .json)")
    parser.add_argument("--resume", action="store_true", help="skip the cases that are done")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how to segment."""
    parser.add_argument(
        "--mode", choices=MODES, default="standard", help="speed or accuracy; default: standard"
    )
    add_machine_arguments(parser)
    parser.add_argument(
        "--weights",
        metavar="ID|PATH",
        help="id in 'weights list', or folder or .zip of a model; default: flaremr",
    )
    parser.add_argument(
        "--organs", metavar="A,B", help="only these organs, e.g. liver,left_kidney; default: all"
    )
    parser.add_argument(
        "--tta", type=positive, metavar="N", help="number of views to average; default: by mode"
    )
    parser.add_argument("--allow-ct", action="store_true", help="go on if it looks like CT")


def engine_options(arguments: argparse.Namespace) -> EngineOptions:
    """The arguments of `add_engine_arguments` as options.

    Raises:
        UsageError: an unknown organ.
    """
    names = organ_names(arguments.organs)
    organs = tuple(label.id for label in structure_table().subset(names)) if names else ()
    return EngineOptions(
        weights=arguments.weights,
        mode=arguments.mode,
        device=arguments.device,
        organs=organs,
        tta=arguments.tta,
        threads=arguments.threads,
        allow_ct=arguments.allow_ct,
    )


def run(arguments: argparse.Namespace) -> int:
    """Segment one image into a file, or all into a folder; 0.

    Raises:
        FlareMRError: the job failed; `BatchError` if some of several cases did.
    """
    reporter = job_reporter(arguments)
    engine = engine_options(arguments)
    found = find_inputs(arguments.inputs, frame=arguments.frame)
    if _to_folder(arguments.output, found, asked=arguments.resume):
        return _segment_batch(arguments, found, engine, reporter)
    case = found.cases[0]
    options = SegmentFileOptions(
        engine=engine,
        frame=case.frame or 0,
        series=arguments.series,
        statistics=arguments.statistics,
        preview=arguments.preview,
        report=arguments.report,
        confidence=arguments.confidence_map,
    )
    result = segment_file(case.path, arguments.output, options, reporter)
    reporter.result(_case_result(result, arguments))
    if not arguments.json_progress:
        _print_case(result, arguments)
    return 0


def organ_rows(organs: Sequence[OrganStatistics]) -> str:
    """Table of the organs for people."""
    rows = [
        (
            organ.name,
            f"{organ.volume_ml:.1f}",
            "-" if organ.confidence is None else f"{organ.confidence:.2f}",
            "-" if organ.agreement is None else f"{organ.agreement:.2f}",
            ", ".join(organ.flags),
        )
        for organ in organs
    ]
    return format_table(("organ", "volume (mL)", "confidence", "agreement", "flags"), rows)


def _to_folder(output: Path, found: FoundInputs, *, asked: bool) -> bool:
    """Whether OUT is a folder.

    Raises:
        UsageError: OUT is a file although there are several cases, or --resume is asked for.
    """
    if output.is_dir():
        return True
    is_file = has_segmentation_suffix(output)
    if is_file and (asked or not found.is_single):
        why = "--resume needs" if found.is_single else f"{len(found.cases)} volumes need"
        raise UsageError(
            f"{why} a folder for the output, '{output}' names a file.",
            code="output.not-folder",
            hint="Name a folder with -o, or choose one frame of a 4-D image with --frame.",
        )
    if not is_file and found.is_single and output.suffix:
        raise UsageError(
            f"'{output}' is no folder and has none of the suffixes {', '.join(FORMATS)}.",
            code="output.format",
            hint="Change the suffix, or create the folder first.",
        )
    return not is_file


def _segment_batch(
    arguments: argparse.Namespace, found: FoundInputs, engine: EngineOptions, reporter: JobReporter
) -> int:
    _check_batch(arguments)
    options = BatchOptions(
        engine=engine,
        suffix=arguments.format,
        resume=arguments.resume,
        statistics=arguments.statistics,
        preview=arguments.preview,
        report=arguments.report,
    )
    manifest = run_batch(found.cases, arguments.output, options, reporter)
    reporter.result(
        {
            "folder": str(arguments.output),
            "manifest": str(arguments.output / MANIFEST_NAME),
            "cases": {name: asdict(entry) for name, entry in manifest.cases.items()},
        }
    )
    if not arguments.json_progress:
        _print_batch(manifest, arguments)
    _raise_failures(manifest, arguments.output / MANIFEST_NAME)
    return 0


def _check_batch(arguments: argparse.Namespace) -> None:
    if arguments.series is not None:
        raise UsageError(
            "--series needs one DICOM folder and a file as output.", code="usage.arguments"
        )
    if arguments.confidence_map is not None:
        raise UsageError(
            "--confidence-map needs one image and a file as output.", code="usage.arguments"
        )
    if arguments.preview is not None and arguments.preview.suffix.lower() == ".png":
        raise UsageError(
            "With a folder as output --preview needs a folder too.",
            code="output.not-folder",
            hint="Name a folder for the pictures.",
        )


def _raise_failures(manifest: Manifest, path: Path) -> None:
    failed = {n: e for n, e in manifest.cases.items() if e.state == FAILED and e.error is not None}
    if not failed:
        return
    if len(manifest.cases) == 1:
        error = next(iter(failed.values())).error or {}
        raise _only_error(error)
    raise BatchError(
        f"{len(failed)} of {len(manifest.cases)} cases failed: {', '.join(failed)}.",
        code="batch.failed",
        hint=f"The reasons are in '{path}'; run again with --resume when they are solved.",
    )


def _only_error(error: Any) -> FlareMRError:
    """The error of a batch of one, with its own exit code."""
    failure = FlareMRError(error["message"], code=error["code"], hint=error["hint"])
    failure.exit_code = error["exit_code"]
    return failure


def _case_result(result: CaseResult, arguments: argparse.Namespace) -> dict[str, Any]:
    extras = {
        name: str(path)
        for name in ("statistics", "preview", "report")
        if (path := getattr(arguments, name)) is not None
    }
    return {"segmentation": str(arguments.output), **extras, "case": result.record.as_dict()}


def _print_case(result: CaseResult, arguments: argparse.Namespace) -> None:
    record = result.record
    write_line(organ_rows(record.organs))
    seconds = sum(record.report["seconds"].values())
    write_line(f"{seconds:.1f} s on {record.report['device']}")
    for path in (arguments.output, arguments.statistics, arguments.preview, arguments.report):
        if path is not None:
            write_line(str(path))


def _print_batch(manifest: Manifest, arguments: argparse.Namespace) -> None:
    rows = [
        (name, entry.state, f"{entry.seconds:.1f}", (entry.error or {}).get("message", ""))
        for name, entry in manifest.cases.items()
    ]
    write_line(format_table(("case", "state", "seconds", "problem"), rows))
    extras = (arguments.statistics, arguments.preview, arguments.report)
    for path in (arguments.output, *extras):
        if path is not None:
            write_line(str(path))
