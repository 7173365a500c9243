"""Verb `weights`: list, fetch, verify, import, export and remove the networks' weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from FlareMRCore.cli.console import JobReporter, format_table, job_reporter, write_line
from FlareMRCore.errors import WeightsError
from FlareMRCore.weights.folders import FOLDER_VARIABLE, default_folder
from FlareMRCore.weights.options import DownloadOptions
from FlareMRCore.weights.registry import WeightsEntry
from FlareMRCore.weights.store import WeightsStore

_ACTIONS = {
    "list": "list the weights, their state, size and license",
    "fetch": "download weights, or go on with a download that was cut",
    "verify": "compare every file with its SHA-256",
    "import": "take over weights from a file, a folder or a .zip archive, without a network",
    "export": "write weights into a .zip archive for a computer without a network",
    "remove": "delete downloaded or imported weights",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its actions."""
    parser = subparsers.add_parser("weights", help="list, fetch, check, import or export weights")
    common = _common_options()
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    made = {
        name: actions.add_parser(
            name, help=text, description=f"{text.capitalize()}.", parents=[common]
        )
        for name, text in _ACTIONS.items()
    }
    made["fetch"].add_argument("id", nargs="?", metavar="ID", help="which ones (default weights)")
    made["fetch"].add_argument(
        "--ca-bundle", type=Path, metavar="FILE", help="certificates to trust (PEM)"
    )
    made["verify"].add_argument("ids", nargs="*", metavar="ID", help="which ones (all there are)")
    made["import"].add_argument("path", type=Path, metavar="PATH", help="file, folder or .zip")
    made["export"].add_argument("id", metavar="ID", help="which ones")
    made["export"].add_argument("path", type=Path, metavar="FILE.zip", help="archive to write")
    made["remove"].add_argument("id", metavar="ID", help="which ones")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; 0.

    Raises:
        WeightsError: the action failed, or `verify` found a problem.
    """
    folder = getattr(arguments, "folder", None) or default_folder()
    store = WeightsStore(folder=folder.expanduser().absolute())
    actions: dict[str, Callable[[argparse.Namespace, WeightsStore, JobReporter], None]] = {
        "list": _list,
        "fetch": _fetch,
        "verify": _verify,
        "import": _import,
        "export": _export,
        "remove": _remove,
    }
    actions[arguments.action](arguments, store, job_reporter(arguments))
    return 0


def _common_options() -> argparse.ArgumentParser:
    """Options behind the action; without a default, so that the verb's own values stay."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help=f"folder for weights instead of {FOLDER_VARIABLE}",
    )
    return common


def _list(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    for problem in store.broken_models():
        reporter.message(problem, level="warning")
    entries = store.entries()
    facts = [_facts(entry, store) for entry in entries]
    reporter.result({"folder": str(store.folder), "weights": facts})
    if arguments.json_progress:
        return
    rows = [
        (
            f"{entry.id}{' (default)' if entry.default else ''}",
            entry.version,
            str(fact["state"]),
            f"{entry.size / 1e6:.1f} MB",
            entry.license,
            entry.title,
        )
        for entry, fact in zip(entries, facts, strict=True)
    ]
    write_line(format_table(("id", "version", "state", "size", "license", "title"), rows))
    write_line(f"Folder: {store.folder}")


def _facts(entry: WeightsEntry, store: WeightsStore) -> dict[str, Any]:
    return {
        "id": entry.id,
        "version": entry.version,
        "title": entry.title,
        "description": entry.description,
        "default": entry.default,
        "state": store.state(entry.id),
        "size": entry.size,
        "license": entry.license,
        "license_url": entry.license_url,
        "open_license": entry.open_license,
        "scores": dict(entry.scores),
    }


def _fetch(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    weights_id = arguments.id or store.default_id()
    options = DownloadOptions(ca_bundle=arguments.ca_bundle)
    files = store.fetch(weights_id, reporter, options=options)
    _tell(arguments, reporter, {"id": weights_id, "files": [str(path) for path in files.values()]})


def _verify(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    """Check the named weights, or all that are here: what was never fetched is no problem."""
    ids = arguments.ids or [
        entry.id for entry in store.entries() if store.state(entry.id) != "missing"
    ]
    problems = list(store.broken_models())
    for done, weights_id in enumerate(ids):
        reporter.advance("verify", done, len(ids))
        problems += store.verify(weights_id)
    if problems:
        listing = "".join(f"\n  {problem}" for problem in problems)
        raise WeightsError(
            f"Problems with weights:{listing}",
            code="weights.damaged",
            hint="\nFetch or import these weights again.",
        )
    reporter.result({"verified": ids})
    if not arguments.json_progress:
        write_line(f"Verified: {', '.join(ids) or 'no weights are installed'}.")


def _import(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    entries = store.import_weights(arguments.path.expanduser())
    for entry in entries:
        for problem in store.verify(entry.id):
            reporter.message(f"Weights '{entry.id}': {problem}", level="warning")
    ids = [entry.id for entry in entries]
    folders = [str(store.install_folder(entry)) for entry in entries]
    _tell(arguments, reporter, {"id": ", ".join(ids), "files": folders})


def _export(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    path = store.export(arguments.id, arguments.path.expanduser().absolute())
    _tell(arguments, reporter, {"id": arguments.id, "files": [str(path)]})


def _remove(arguments: argparse.Namespace, store: WeightsStore, reporter: JobReporter) -> None:
    removed = store.remove(arguments.id)
    _tell(arguments, reporter, {"id": arguments.id, "files": [str(path) for path in removed]})


def _tell(
    arguments: argparse.Namespace, reporter: JobReporter, content: dict[str, str | list[str]]
) -> None:
    """The result, as an event or as lines."""
    reporter.result(content)
    if not arguments.json_progress:
        write_line(f"{content['id']}:")
        for path in content["files"]:
            write_line(f"  {path}")
