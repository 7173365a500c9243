"""Verb `phantom`: an artificial abdomen with its true labels."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from FlareMRCore.cli.console import job_reporter, write_line
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.phantom_render import RenderOptions, sequence_names
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import UsageError
from FlareMRCore.pipeline.output_paths import check_targets

SMALLEST_SPACING_MM = 0.8
"""Finer grids would need more memory than a phantom is worth."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "phantom",
        help="write an artificial abdomen",
        description="Write an artificial abdomen as a scanner would see it. Seeds are people.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="image")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="true labels")
    parser.add_argument(
        "--sequence", choices=sequence_names(), default="venous", help="default: venous"
    )
    parser.add_argument("--seed", type=int, default=0, help="person; default: 0")
    parser.add_argument(
        "--spacing", default="3", metavar="MM", help="one number, or K,J,I; default: 3"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=RenderOptions().noise,
        metavar="X",
        help="standard deviation as share of the mean signal; default: %(default)s",
    )
    parser.add_argument("--tumors", action="store_true", help="add tumors")


def run(arguments: argparse.Namespace) -> int:
    """Write the image and the labels; 0."""
    reporter = job_reporter(arguments)
    check_targets((), segmentation=arguments.output)
    check_targets((arguments.output,), segmentation=arguments.labels)
    if not 0 <= arguments.noise < math.inf:
        raise UsageError(
            f"--noise takes a number from 0; found {arguments.noise}.", code="usage.noise"
        )
    geometry = phantom_geometry(_spacing(arguments.spacing))
    reporter.advance("phantom", 0, 2)
    volume, labels = make_phantom(
        arguments.seed,
        arguments.sequence,
        geometry=geometry,
        tumors=arguments.tumors,
        options=RenderOptions(noise=arguments.noise),
    )
    reporter.advance("phantom", 1, 2)
    write_volume(arguments.output, volume)
    written = [arguments.output]
    if arguments.labels is not None:
        write_label_map(arguments.labels, labels)
        written.append(arguments.labels)
    reporter.advance("phantom", 2, 2)
    reporter.result({"image": str(arguments.output), "labels": str(arguments.labels or "")})
    if not arguments.json_progress:
        for path in written:
            write_line(str(path))
    return 0


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(SMALLEST_SPACING_MM <= mm < math.inf for mm in numbers):
        raise UsageError(
            f"--spacing takes one number or three of at least {SMALLEST_SPACING_MM} mm; found "
            f"'{text}'.",
            code="usage.spacing",
        )
    return numbers[0], numbers[1], numbers[2]
