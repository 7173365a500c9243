"""Verb `demo`: the whole way from an image to results, on an artificial abdomen."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from statistics import fmean

from FlareMRCore.cli.console import job_reporter, write_line
from FlareMRCore.cli.segment import add_engine_arguments, engine_options, organ_rows
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.phantom_render import RenderOptions
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.imaging.metrics import dice
from FlareMRCore.pipeline.output_paths import make_folder
from FlareMRCore.pipeline.segment_case import SegmentFileOptions, segment_file

SEED = 4
SEQUENCE = "venous"
SPACING_MM = (4.0, 1.8, 1.8)
"""Slice distance and pixel size that abdominal MR often has."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="segment an artificial abdomen and show the results",
        description="Make an artificial abdominal MR, segment it, and write the segmentation, a "
        "table of the organs and a picture. Needs no data and no network.",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder, made if missing"
    )
    add_engine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segment the phantom and print the paths of the results; 0."""
    reporter = job_reporter(arguments)
    folder: Path = arguments.output
    make_folder(folder)
    reporter.advance("phantom", 0, 1)
    truth = _write_phantom(folder / "phantom.nii.gz")
    reporter.advance("phantom", 1, 1)
    paths = {
        "segmentation": folder / "segmentation.nii.gz",
        "table": folder / "organs.csv",
        "picture": folder / "preview.png",
    }
    options = SegmentFileOptions(
        engine=engine_options(arguments), statistics=paths["table"], preview=paths["picture"]
    )
    result = segment_file(folder / "phantom.nii.gz", paths["segmentation"], options, reporter)
    score = mean_dice(truth, result.label_map)
    facts = {name: str(path) for name, path in paths.items()}
    reporter.result({**facts, "phantom_mean_dice": score})
    if not arguments.json_progress:
        write_line(organ_rows(result.record.organs))
        write_line(f"Sanity number, no accuracy on patients: mean Dice on the phantom {score:.2f}")
        for name, path in facts.items():
            write_line(f"{name}: {path}")
    return 0


def mean_dice(reference: LabelMap, prediction: LabelMap) -> float:
    """Mean Dice of the organs of the prediction's table that are in either; 0 without any."""
    scores = [
        dice(reference.array == label.value, prediction.array == label.value)
        for label in prediction.labels
    ]
    defined = [score for score in scores if not math.isnan(score)]
    return fmean(defined) if defined else 0.0


def _write_phantom(path: Path) -> LabelMap:
    """Write the image; the labels stay in memory."""
    volume, labels = make_phantom(
        SEED, SEQUENCE, geometry=phantom_geometry(SPACING_MM), options=RenderOptions(noise=0.04)
    )
    write_volume(path, volume)
    return labels
