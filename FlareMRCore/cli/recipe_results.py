"""Steps of the verb `recipe` about results: tables, texts, weights, and jobs elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.cli.recipe_show import chosen_recipe, tell
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.metrics import MODES
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.run_log import RUN_NAME
from FlareMRCore.pipeline.run_reading import RunReading, read_run, runs_of
from FlareMRCore.pipeline.text_table import TextTable

RESULT_HELP = {
    "results": "scores of runs; with --ablation one table of several runs",
    "methods": "a text of the methods of a run, with citations",
    "export-model": "copy the weights of a run and write their model card",
    "export-files": "copy what one stage of a run made, e.g. a data set for nnU-Net",
    "export-job": "write a run as a folder for another computer, with torchrun and sbatch scripts",
    "import-job": "take over the results of an exported job",
}
"""What each step does."""


def add_result_arguments(names: Mapping[str, argparse.ArgumentParser]) -> None:
    """Add what only these steps take; `names` holds the parsers of all steps."""
    results, model = names["results"], names["export-model"]
    _add_runs(results, "runs; by default the newest, or all of the store with --ablation", "*")
    for step in (names["methods"], model, names["export-files"]):
        _add_runs(step, "run; by default the newest of the store", "?")
    results.add_argument("--ablation", action="store_true", help="one row for each scored stage")
    results.add_argument("--mode", choices=MODES, default=MODES[0], help="convention of the scores")
    results.add_argument(
        "--format", choices=("text", "csv", "markdown"), default="text", help="of the tables"
    )
    for step in (results, names["methods"]):
        step.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to a file")
    model.add_argument("--stage", default="", help="which one, if several export weights")
    names["export-files"].add_argument("--stage", required=True, help="id of the stage")
    for step in (model, names["export-files"], names["export-job"]):
        step.add_argument(
            "-o", "--output", type=Path, required=True, metavar="FOLDER", help="new or empty"
        )
    names["export-job"].add_argument(
        "--dataset", type=Path, metavar="MANIFEST", help="cases as JSON manifest"
    )
    names["export-job"].add_argument(
        "--copy-images", action="store_true", help="images and label maps go along"
    )
    names["export-job"].add_argument(
        "--from-scratch", action="store_true", help="leave out what was finished here"
    )
    names["import-job"].add_argument("job", type=Path, metavar="FOLDER", help="the exported job")


def _add_runs(parser: argparse.ArgumentParser, text: str, count: str) -> None:
    parser.add_argument("runs", nargs=count, type=Path, metavar="RUN", help=f"folder of a {text}")


def _chosen_runs(arguments: argparse.Namespace, *, every: bool = False) -> list[RunReading]:
    """The runs that were named, else the newest one, or all of the store."""
    named = arguments.runs if isinstance(arguments.runs, list) else [arguments.runs]
    folders = [folder for folder in named if folder is not None]
    if folders:
        return [read_run(_run_folder(folder, arguments.store)) for folder in folders]
    found = runs_of(arguments.store)
    if not found:
        raise UsageError(
            f"The store '{arguments.store}' has no runs.",
            code="usage.store",
            hint="Give another one with --store, or the folder of a run.",
        )
    return list(found if every else found[:1])


def _run_folder(name: Path, store: Path) -> Path:
    """The folder, which may be named by its last part alone."""
    inside = store / "runs" / name.name
    return inside if not (name / RUN_NAME).is_file() and inside.is_dir() else name


def _results(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.run_results import (
        ablation_rows,
        ablation_table,
        run_scores,
        scores_table,
    )

    runs = _chosen_runs(arguments, every=arguments.ablation)
    if arguments.ablation:
        tables = {"ablation": ablation_table(ablation_rows(runs, arguments.mode))}
    else:
        tables = {
            f"{run.recipe} {run.preset} {run.profile}: {scores.stage_id}": scores_table(scores)
            for run in runs
            for scores in run_scores(run, arguments.mode)
        }
    if arguments.output:
        write_text_atomically(arguments.output, _as_text(tables, arguments.format))
    content = {name: asdict(table) for name, table in tables.items()}
    if not tell(arguments, {"tables": content, "output": arguments.output}):
        write_line(_as_text(tables, arguments.format) or "Nothing was scored yet.")


def _as_text(tables: Mapping[str, TextTable], kind: str) -> str:
    if kind == "csv":
        return "\n".join(table.csv() for table in tables.values())
    if kind == "markdown":
        return "\n".join(f"## {name}\n\n{table.markdown()}" for name, table in tables.items())
    return "\n\n".join(
        f"{name}\n{format_table(table.header, table.rows)}" for name, table in tables.items()
    )


def _methods(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.methods_text import methods_text

    (run,) = _chosen_runs(arguments)
    text = methods_text(run)
    if arguments.output:
        write_text_atomically(arguments.output, text)
    if not tell(arguments, {"run": run.folder, "text": text}):
        write_line(text.rstrip("\n"))


def _export_model(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.model_export import export_model

    (run,) = _chosen_runs(arguments)
    entry = export_model(run, arguments.output, stage_id=arguments.stage)
    content = {"id": entry.id, "folder": arguments.output, "license": entry.license}
    if not tell(arguments, content):
        write_line(f"{entry.id}: {arguments.output}")
        write_line(f"To use it everywhere: weights import {arguments.output}")


def _export_files(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.model_export import export_files

    (run,) = _chosen_runs(arguments)
    export_files(run, arguments.stage, arguments.output)
    if not tell(arguments, {"stage": arguments.stage, "folder": arguments.output}):
        write_line(f"{arguments.stage}: {arguments.output}")


def _export_job(arguments: argparse.Namespace) -> None:
    from FlareMRCore.data.dataset_manifest import load_dataset
    from FlareMRCore.pipeline.job_export import ExportOptions, export_job

    transfer = export_job(
        chosen_recipe(arguments),
        load_dataset(arguments.dataset) if arguments.dataset else None,
        ArtifactStore(arguments.store),
        arguments.output,
        reporter=job_reporter(arguments),
        options=ExportOptions(arguments.copy_images, not arguments.from_scratch),
    )
    if not tell(arguments, {"job": arguments.output, "finished": len(transfer.published)}):
        write_line(f"{arguments.output}: {len(transfer.published)} finished artifacts go along.")


def _import_job(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.job_import import import_job

    store = ArtifactStore(arguments.store)
    found = import_job(arguments.job, store, job_reporter(arguments))
    counts = {name: len(keys) for name, keys in asdict(found.artifacts).items()}
    content = {"recipe": found.recipe, "preset": found.preset, "runs": found.runs, **counts}
    if not tell(arguments, content):
        write_line(
            f"{found.recipe} {found.preset}: {counts['published']} artifacts are new, "
            f"{counts['present'] + counts['different']} were there."
        )
        for folder in found.runs:
            write_line(f"Run: {folder}")


RESULT_STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "results": _results,
    "methods": _methods,
    "export-model": _export_model,
    "export-files": _export_files,
    "export-job": _export_job,
    "import-job": _import_job,
}
