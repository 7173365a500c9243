"""Verb `recipe`: lists, shows, checks and runs recipes, says how far they are, clears the store."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from FlareMRCore.cli.console import format_table, job_reporter, write_line
from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import UsageError
from FlareMRCore.events import json_values
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe import DEFAULT, Recipe, recipe_names
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.pipeline.stage import MODEL, SCORES
from FlareMRCore.pipeline.stages import STAGES

STORE = Path("flaremr-store")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "recipe",
        help="run a training recipe from images to scored weights",
        description="A recipe is a list of stages. What a stage made is kept in a store and used "
        "again; a run that was stopped or killed continues when it is started again.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    steps.add_parser("list", help="recipes that come with FlareMR, and kinds of stages")
    show = steps.add_parser("show", help="stages with inputs and parameters")
    check = steps.add_parser("check", help="report every mistake of a recipe")
    run_parser = steps.add_parser("run", help="run a recipe, or continue it")
    status = steps.add_parser("status", help="how far each stage is")
    for step in (show, check, run_parser, status):
        _add_recipe(step)
    check.add_argument("--dry-run", action="store_true", help="build its networks: size and hours")
    check.add_argument("--no-probe", action="store_true", help="dry run without timing a step")
    for step in (run_parser, status):
        _add_inputs(step)
    _add_run(run_parser)
    for step in (run_parser, status):
        _add_json_progress(step)
    prune = steps.add_parser("prune", help="remove what no recent run uses")
    prune.add_argument("--store", type=Path, default=STORE, metavar="FOLDER", help="the store")
    prune.add_argument(
        "--keep-runs", type=int, default=1, metavar="N", help="runs kept of each recipe"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name, or path of a .toml file")
    parser.add_argument("--preset", default=DEFAULT, help="size, e.g. mini, small, paper")
    parser.add_argument("--profile", default=DEFAULT, help="reading, e.g. paper, code, safe")


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, default=STORE, metavar="FOLDER", help="the store")
    parser.add_argument("--dataset", type=Path, metavar="MANIFEST", help="cases as JSON manifest")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where file patterns start")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--until", default="", metavar="STAGE", help="last stage to run")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="I/K", help="I-th of K parts of the cases"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="copy models and scores there"
    )


def _add_json_progress(parser: argparse.ArgumentParser) -> None:
    # No default: it would undo the option given before the step.
    parser.add_argument(
        "--json-progress",
        action="store_true",
        default=argparse.SUPPRESS,
        help="write progress, messages and the result as JSON lines",
    )


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return int(number), int(count)


def run(arguments: argparse.Namespace) -> int:
    """Run one step; 0.

    Raises:
        FlareMRError: see `FlareMRCore.pipeline.recipe_parsing` and `FlareMRCore.pipeline.runner`.
    """
    steps = {
        "list": _list,
        "show": _show,
        "check": _check,
        "run": _run,
        "status": _status,
        "prune": _prune,
    }
    steps[arguments.step](arguments)
    return 0


def _loaded(arguments: argparse.Namespace) -> Recipe:
    return load_recipe(arguments.recipe, preset=arguments.preset, profile=arguments.profile)


def _dataset(arguments: argparse.Namespace) -> Dataset | None:
    from FlareMRCore.data.dataset_manifest import load_dataset

    return load_dataset(arguments.dataset) if arguments.dataset else None


def _list(arguments: argparse.Namespace) -> None:
    recipes = [load_recipe(name) for name in recipe_names()]
    rows = [[r.name, ", ".join(r.presets), ", ".join(r.profiles), r.title] for r in recipes]
    write_line(format_table(("recipe", "presets", "profiles", "title"), rows))
    write_line()
    stages = [
        [name, stage.scope, ", ".join(stage.slots) or "-", stage.output]
        for name, stage in STAGES.items()
    ]
    write_line(format_table(("stage", "scope", "inputs", "makes"), stages))


def _show(arguments: argparse.Namespace) -> None:
    recipe = _loaded(arguments)
    write_line(f"{recipe.title} ({recipe.label})\n{recipe.description}\n")
    for spec in recipe.stages:
        inputs = ", ".join(f"{slot}: {' + '.join(names)}" for slot, names in spec.inputs.items())
        write_line(f"[{spec.id}] {spec.use}" + (f" <- {inputs}" if inputs else ""))
        chosen = {
            key: value for key, value in asdict(spec.where).items() if value not in ("", None)
        }
        if chosen:
            write_line(f"    where {json.dumps(chosen)}")
        for key, value in json_values(asdict(spec.parameters)).items():
            write_line(f"    {key} = {json.dumps(value)}")


def _check(arguments: argparse.Namespace) -> None:
    recipe = _loaded(arguments)
    write_line(f"{recipe.label}: {len(recipe.stages)} stages, no mistakes.")
    if not arguments.dry_run:
        return
    from FlareMRCore.pipeline.recipe_sanity import check_networks

    checks = check_networks(recipe, job_reporter(arguments), probe=not arguments.no_probe)
    rows = [
        [
            check.stage_id,
            check.builder,
            "x".join(str(n) for n in check.shape),
            str(check.parameters),
            f"{check.gmacs:.1f}",
            f"{check.memory_mb:.0f}",
            "-" if check.step_s is None else f"{check.step_s:.2f}",
            "-" if check.hours is None else f"{check.hours:.2f}",
        ]
        for check in checks
    ]
    header = ("stage", "network", "patch", "parameters", "GMACs", "MB", "s/step", "hours")
    write_line(format_table(header, rows))
    write_line("Memory is that of one training step; hours are for one process on this machine.")


def _run(arguments: argparse.Namespace) -> None:
    recipe = _loaded(arguments)
    options = RunOptions(
        device=arguments.device,
        threads=arguments.threads,
        data=arguments.data,
        part=arguments.part,
        until=arguments.until,
    )
    reporter = job_reporter(arguments)
    store = ArtifactStore(arguments.store)
    result = run_recipe(recipe, _dataset(arguments), store, reporter, options)
    made = _results(recipe, result)
    if arguments.output and made:
        _copy(made, arguments.output)
    reporter.result({"run": result.folder, "missing": result.missing, "results": made})
    if arguments.json_progress:
        return
    for stage_id, folder in made.items():
        write_line(f"{stage_id}: {folder}")
    write_line(f"Run: {result.folder}")


def _results(recipe: Recipe, result: RunResult) -> dict[str, Path]:
    """Folders of models and scores by id of their stage."""
    return {
        spec.id: result.outcomes[spec.id].artifacts[0].folder
        for spec in recipe.stages
        if spec.id in result.outcomes and STAGES[spec.use].output in (MODEL, SCORES)
    }


def _copy(made: dict[str, Path], output: Path) -> None:
    for stage_id, folder in made.items():
        target = output / stage_id
        if target.exists() and not (target / "artifact.json").is_file():
            raise UsageError(
                f"'{target}' exists and is not from a recipe.",
                code="output.exists",
                hint="Choose another folder with -o.",
            )
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)


def _status(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.recipe_status import recipe_status

    recipe = _loaded(arguments)
    options = RunOptions(data=arguments.data)
    store = ArtifactStore(arguments.store)
    stages = recipe_status(recipe, _dataset(arguments), store, options)
    if arguments.json_progress:
        job_reporter(arguments).result({"stages": [asdict(stage) for stage in stages]})
        return
    rows = [[s.id, s.use, s.state, f"{s.done}/{s.total}", s.detail] for s in stages]
    write_line(format_table(("stage", "kind", "state", "done", ""), rows))


def _prune(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.recipe_status import prune_store

    pruned = prune_store(
        ArtifactStore(arguments.store), keep_runs=arguments.keep_runs, dry_run=arguments.dry_run
    )
    verb = "would go" if arguments.dry_run else "removed"
    write_line(f"{len(pruned.paths)} folders and files {verb}, {pruned.size_mb:.1f} MB.")
