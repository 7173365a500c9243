"""Verb `recipe`: lists, shows, checks and runs recipes, says how far they are, clears the store."""

from __future__ import annotations

import argparse
from pathlib import Path

from FlareMRCore.cli.console import format_table, write_line
from FlareMRCore.cli.options import add_machine_arguments, add_store_argument, natural
from FlareMRCore.cli.recipe_results import RESULT_HELP, RESULT_STEPS, add_result_arguments
from FlareMRCore.cli.recipe_runs import RUN_STEPS
from FlareMRCore.cli.recipe_show import SHOW_STEPS, tell
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe import DEFAULT, recipe_names
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.stages import STAGES

HELP = {
    "list": "recipes that come with FlareMR, and kinds of stages",
    "show": "stages with inputs and parameters",
    "check": "report every mistake of a recipe",
    "edit": "change parameters and save the recipe with all of them",
    "run": "run a recipe, or continue it",
    "start": "the same in a process of its own, which goes on when this terminal is closed",
    "resume": "start a run again that was stopped, killed or failed; what is done is kept",
    "stop": "let a run save its state and end",
    "runs": "runs of a store, newest first",
    "status": "how far each stage of a recipe, or of a run, is",
    "prune": "remove what no recent run uses",
    **RESULT_HELP,
}
"""What each step does."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = subparsers.add_parser(
        "recipe",
        help="run a training recipe from images to scored weights",
        description="A recipe is a list of stages. What a stage made is kept in a store and used "
        "again; a run that was stopped or killed continues when it is started again.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    names = {name: steps.add_parser(name, help=text) for name, text in HELP.items()}
    for name in ("show", "check", "edit", "run", "start", "status", "export-job"):
        _add_recipe(names[name])
    for name in ("run", "start", "status"):
        _add_inputs(names[name])
    for name in ("runs", "prune", *RESULT_HELP):
        add_store_argument(names[name])
    for name in ("run", "start"):
        _add_run(names[name])
    for name in ("resume", "stop"):
        names[name].add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    for name in HELP.keys() - {"run", "prune"}:
        names[name].add_argument("--json", action="store_true", help="write JSON")
    _add_check(names["check"])
    _add_edit(names["edit"])
    add_result_arguments(names)
    names["run"].add_argument("--run-folder", type=Path, help=argparse.SUPPRESS)
    names["stop"].add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="seconds to wait for its end"
    )
    names["prune"].add_argument(
        "--keep-runs",
        type=natural,
        default=1,
        metavar="N",
        help="runs kept of each recipe; default: 1",
    )
    names["prune"].add_argument("--dry-run", action="store_true", help="only say what would go")


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name, or path of a .toml file")
    parser.add_argument("--preset", default=DEFAULT, help="size, e.g. mini, small, paper")
    parser.add_argument("--profile", default=DEFAULT, help="reading, e.g. paper, code, safe")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="build its networks: size and hours")
    parser.add_argument("--no-probe", action="store_true", help="dry run without timing a step")
    parser.add_argument("--device", default="auto", help="to time steps on")


def _add_edit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.PARAMETER=VALUE",
        help="a change, with the value in TOML; nothing after = for the default; can be repeated",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the new .toml file"
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    add_store_argument(parser)
    parser.add_argument("--dataset", type=Path, metavar="MANIFEST", help="cases as JSON manifest")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where file patterns start")


def _add_run(parser: argparse.ArgumentParser) -> None:
    add_machine_arguments(parser)
    parser.add_argument("--until", default="", metavar="STAGE", help="last stage to run")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="I/K", help="I-th of K parts of the cases"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="copy models and scores there"
    )


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return int(number), int(count)


def run(arguments: argparse.Namespace) -> int:
    """Run one step; 0.

    Raises:
        FlareMRError: see `FlareMRCore.pipeline.recipe_parsing` and `FlareMRCore.pipeline.runner`.
    """
    steps = {"list": _list, "prune": _prune, **SHOW_STEPS, **RUN_STEPS, **RESULT_STEPS}
    steps[arguments.step](arguments)
    return 0


def _list(arguments: argparse.Namespace) -> None:
    recipes = [load_recipe(name) for name in recipe_names()]
    facts = ("name", "title", "description", "presets", "profiles")
    content = [{key: getattr(recipe, key) for key in facts} for recipe in recipes]
    if tell(arguments, {"recipes": content}):
        return
    rows = [[r.name, ", ".join(r.presets), ", ".join(r.profiles), r.title] for r in recipes]
    write_line(format_table(("recipe", "presets", "profiles", "title"), rows))
    write_line()
    stages = [
        [name, stage.scope, ", ".join(stage.slots) or "-", stage.output]
        for name, stage in STAGES.items()
    ]
    write_line(format_table(("stage", "scope", "inputs", "makes"), stages))


def _prune(arguments: argparse.Namespace) -> None:
    from FlareMRCore.pipeline.recipe_status import prune_store

    pruned = prune_store(
        ArtifactStore(arguments.store), keep_runs=arguments.keep_runs, dry_run=arguments.dry_run
    )
    verb = "would go" if arguments.dry_run else "removed"
    write_line(f"{len(pruned.paths)} folders and files {verb}, {pruned.size_mb:.1f} MB.")
