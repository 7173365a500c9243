"""Verb `devices`: the processors that can compute, and how much memory they have free."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from FlareMRCore.cli.console import format_table, job_reporter, write_line


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "devices",
        help="list the devices for --device",
        description="List the processors for --device and which one 'auto' would take.",
    )
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the devices; 0."""
    # Here, so that the help of the command line does without torch.
    from FlareMRCore.inference.device import choose_device, list_devices

    devices = list_devices()
    choice = choose_device("auto", devices)
    facts = {"devices": [asdict(device) for device in devices], "auto": asdict(choice)}
    job_reporter(arguments).result(facts)
    if arguments.json_progress:
        return 0
    if arguments.json:
        write_line(json.dumps(facts, indent=1))
        return 0
    rows = [(d.name, d.title, f"{d.free_bytes / 1024**3:.1f} GB") for d in devices]
    write_line(format_table(("device", "title", "free memory"), rows))
    write_line(f"auto takes {choice.name}: {choice.reason}")
    return 0
