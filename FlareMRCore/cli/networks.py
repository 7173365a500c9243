"""Verb `networks`: what can be built, how large it is and what one evaluation costs."""

from __future__ import annotations

import argparse

from FlareMRCore.cli.console import format_table, job_reporter, write_line

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
    """Print the table; 0.

    Raises:
        UsageError: a name that is not in the list.
    """
    # Here, so that the help of the command line does without torch.
    from FlareMRCore.networks.builders import network_entry, network_names
    from FlareMRCore.networks.count import network_cost

    reporter = job_reporter(arguments)
    entries = [network_entry(name) for name in arguments.names or network_names()]
    facts: list[dict[str, object]] = []
    rows: list[tuple[str, ...]] = []
    for done, entry in enumerate(entries):
        reporter.advance("networks", done, len(entries))
        cost = network_cost(entry.build, [entry.input_shape])
        size = "x".join(str(length) for length in entry.input_shape)
        rows.append(
            (entry.name, size, str(cost.parameters), f"{cost.gmacs:.2f}", entry.description)
        )
        facts.append(
            {
                "name": entry.name,
                "input_shape": list(entry.input_shape),
                "classes": entry.classes,
                "parameters": cost.parameters,
                "gmacs": cost.gmacs,
                "description": entry.description,
            }
        )
    reporter.result({"networks": facts})
    if not arguments.json_progress:
        write_line(format_table(HEADER, rows))
    return 0
