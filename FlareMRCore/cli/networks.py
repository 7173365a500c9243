"""Verb `networks`: what can be built, how large it is and what one evaluation costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.errors import UsageError

Shapes = tuple[tuple[int, ...], ...]
HEADER = ("name", "input", "parameters", "GMACs", "description")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "networks",
        help="list the networks: input, parameters, GMACs",
        description="List the networks: input (channels x K x J x I), learned parameters and "
        "billions of multiply-accumulates of one evaluation at that input.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these networks")


def run(arguments: argparse.Namespace) -> int:
    """Print the table of segmentation networks and translators; 0.

    Raises:
        UsageError: a name that is not in the list.
    """
    # Here, so that the help of the command line does without torch.
    from FlareMRCore.networks.builders import NETWORKS
    from FlareMRCore.networks.count import network_cost
    from FlareMRCore.networks.translators import TRANSLATORS

    known: dict[str, tuple[Callable[[], Any], Shapes, str]] = {}
    for entry in NETWORKS.values():
        known[entry.name] = (entry.build, (entry.input_shape,), entry.description)
    for part in TRANSLATORS.values():
        known[part.name] = (part.build, part.input_shapes, part.description)
    names = arguments.names or tuple(known)
    _check_names(names, tuple(known))
    reporter = job_reporter(arguments)
    facts: list[dict[str, Any]] = []
    for done, name in enumerate(names):
        reporter.advance("networks", done, len(names))
        build, shapes, description = known[name]
        cost = network_cost(build, shapes)
        facts.append(
            {
                "name": name,
                "input_shapes": [list(shape) for shape in shapes],
                "parameters": cost.parameters,
                "gmacs": cost.gmacs,
                "description": description,
            }
        )
    reporter.result({"networks": facts})
    if not arguments.json_progress:
        write_line(format_table(HEADER, [_row(fact) for fact in facts]))
    return 0


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"There is no network '{unknown[0]}'. Known: {', '.join(known)}."
        raise UsageError(message, code="usage.network")


def _row(fact: Mapping[str, Any]) -> tuple[str, ...]:
    inputs = " + ".join("x".join(map(str, shape)) for shape in fact["input_shapes"])
    cost = f"{fact['gmacs']:.2f}"
    return (fact["name"], inputs, str(fact["parameters"]), cost, fact["description"])
