"""Verb `train`: build a training pack, train one supervised network, export a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from FlareMRCore.cli.console import job_reporter, write_line
from FlareMRCore.cli.options import add_machine_arguments, positive


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train one supervised network from CT, label maps or MR",
        description="Three steps: 'pack' resamples cases once, 'fit' trains a network on packs "
        "(run it again to continue), 'export' makes a folder for 'segment --weights'.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_pack(steps)
    _add_fit(steps)
    _add_export(steps)


def _add_pack(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pack = steps.add_parser("pack", help="resample cases to one spacing")
    pack.add_argument("groups", type=Path, metavar="GROUPS.toml", help="which cases to take")
    pack.add_argument("--data", type=Path, required=True, help="folder the patterns start from")
    pack.add_argument("--spacing", type=float, required=True, metavar="MM", help="voxel size")
    pack.add_argument("-o", "--output", type=Path, required=True, help="folder of the pack")


def _add_fit(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fit = steps.add_parser("fit", help="train, or continue a training")
    fit.add_argument("config", type=Path, metavar="CONFIG.toml", help="network and parameters")
    fit.add_argument("--pack", type=Path, nargs="+", required=True, help="folders of packs")
    fit.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    fit.add_argument("--initial", type=Path, help="weights to start from; those of the coarse "
                     "network may start the fine one")  # fmt: skip
    fit.add_argument("--steps", type=positive, metavar="N", help="instead of the configuration's")
    add_machine_arguments(fit)


def _add_export(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = steps.add_parser("export", help="make a model folder of trained weights")
    export.add_argument("weights", type=Path, nargs="+", help="weights.pt of coarse and fine runs")
    export.add_argument("--spacing", type=float, nargs="+", metavar="MM", help="voxel size each "
                        "network is used at, in order; the usual ones if not given")  # fmt: skip
    export.add_argument("--id", required=True, help="lower-case identifier of the model")
    export.add_argument("--title", required=True, help="what people read")
    export.add_argument("--license", default="not stated", help="license of the weights")
    export.add_argument("-o", "--output", type=Path, required=True, help="folder of the model")


def run(arguments: argparse.Namespace) -> int:
    """Run one step; 0.

    Raises:
        FlareMRError: see the functions of `FlareMRCore.training`.
    """
    steps = {"pack": _pack, "fit": _fit, "export": _export}
    steps[arguments.step](arguments)
    return 0


def _pack(arguments: argparse.Namespace) -> None:
    from FlareMRCore.training.pack_sources import build_pack, load_groups

    count = build_pack(
        load_groups(arguments.groups),
        arguments.data,
        arguments.output,
        spacing_mm=arguments.spacing,
        reporter=job_reporter(arguments),
    )
    write_line(f"{count} cases packed in {arguments.output}")


def _fit(arguments: argparse.Namespace) -> None:
    from FlareMRCore.training.config import load_training_parameters
    from FlareMRCore.training.initial_weights import initial_state
    from FlareMRCore.training.pack import load_pack
    from FlareMRCore.training.segmentation import train_segmentation, training_device

    parameters = load_training_parameters(arguments.config, steps=arguments.steps)
    initial = initial_state(arguments.initial, parameters.builder) if arguments.initial else None
    path = train_segmentation(
        tuple(case for folder in arguments.pack for case in load_pack(folder)),
        parameters,
        arguments.output,
        reporter=job_reporter(arguments),
        device=training_device(arguments.device, threads=arguments.threads),
        initial=initial,
    )
    write_line(f"Weights: {path}")


def _export(arguments: argparse.Namespace) -> None:
    from FlareMRCore.training.model_description import ModelDescription
    from FlareMRCore.training.model_folder import spacings_by_builder, write_model_folder

    weights = tuple(arguments.weights)
    entry = write_model_folder(
        weights,
        arguments.output,
        ModelDescription(arguments.id, arguments.title, license=arguments.license),
        spacings_mm=spacings_by_builder(weights, tuple(arguments.spacing or ())),
    )
    write_line(f"Model '{entry.id}' with {len(entry.files)} file(s): {arguments.output}")
