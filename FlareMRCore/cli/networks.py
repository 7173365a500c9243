"""Verb `networks`: what can be built, how large it is and what one evaluation costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from FlareMRCore.errors import DependencyError

if TYPE_CHECKING:
    from FlareMRCore.networks.builders import NetworkEntry

Row = tuple[str, str, str, str, str]
HEADER: Row = ("name", "input", "parameters", "GMACs", "description")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "networks", help="list the networks: input, parameters, GMACs", description=__doc__
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these networks")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0.

    Raises:
        UsageError: a name that is not in the list.
        DependencyError: PyTorch is not installed.
    """
    try:
        from FlareMRCore.networks.builders import network_entry, network_names
    except ImportError as error:
        message = "The list of networks needs PyTorch, which is not installed."
        raise DependencyError(
            message, code="dependency.torch", hint="Install the package 'torch'."
        ) from error
    entries = [network_entry(name) for name in arguments.names or network_names()]
    print(format_table([HEADER, *(_row(entry) for entry in entries)]))
    return 0


def format_table(rows: list[Row]) -> str:
    """Lines of aligned columns, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = []
    for name, shape, parameters, gmacs, description in rows:
        cells = (
            name.ljust(widths[0]),
            shape.ljust(widths[1]),
            parameters.rjust(widths[2]),
            gmacs.rjust(widths[3]),
            description,
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(entry: NetworkEntry) -> Row:
    from FlareMRCore.networks.count import network_cost

    cost = network_cost(entry.build, [entry.input_shape])
    shape = "x".join(str(size) for size in entry.input_shape)
    parameters = f"{cost.parameters:,}".replace(",", " ")
    return (entry.name, shape, parameters, f"{cost.gmacs:.2f}", entry.description)
