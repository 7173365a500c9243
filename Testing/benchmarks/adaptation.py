"""What each adaptation recipe gains over training on CT alone, part by part: RESULTS.md.

adaptation.py [--eight | --data DATA] [--seeds 0 1 2] [--rows PREFIX ...] [--store FOLDER]

Alone it runs the ablations of the papers, each recipe on its own synthetic people (CT with labels,
MR without, hidden truth); with --eight whole recipes, all on the same people in eight sequences;
with --data from the CT to the MR of DATA/splits.json, labels of the MR used for the score alone.
Rows are runs of recipes with other inputs and parameters on one store, so that stages they share
are computed once. Rows that adaptation.json has are not run again, unless with --again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptation_data import FOUR, real_dataset
from adaptation_recipes import Changes, changed_recipe, needed_recipe, reseeded_recipe
from adaptation_results import results_text
from adaptation_rows import ABLATION_ROWS, COHORT, LARGE, REAL_ROWS, WHOLE_ROWS, Row
from results_file import load_results, save_results

from FlareMRCore.data.dataset import Dataset
from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.runner import RunOptions, RunResult, run_recipe
from FlareMRCore.pipeline.stages_results import SUMMARY_NAME
from FlareMRCore.progress import SilentReporter

HERE = Path(__file__).parent
SCORES = "scores"
"""Id of the stage of every recipe that scores its result."""
MINUTE_S = 60.0


@dataclass(frozen=True)
class Table:
    """One of the two tables.

    Attributes:
        name: key in adaptation.json.
        rows: all of them, in order.
        preset: of the recipes.
        organs: what is scored.
        dataset: cases that the recipes start from; None if they make their own.
        changes: of all recipes that have these stages.
    """

    name: str
    rows: tuple[Row, ...]
    preset: str
    organs: tuple[str, ...]
    dataset: Dataset | None = None
    changes: Changes = field(default_factory=dict)


def main() -> None:
    """Run what is missing, write the tables after each row."""
    arguments = _parser().parse_args()
    table = _table(arguments)
    options = RunOptions(device=arguments.device, threads=arguments.threads, data=arguments.data)
    store = ArtifactStore(arguments.store)
    end = time.monotonic() + 60 * arguments.minutes
    found = load_results(arguments.results)
    for row in (r for r in table.rows if r.id.startswith(tuple(arguments.rows))):
        for seed in arguments.seeds:
            done = found.get(table.name, {}).get(row.id, {}).get(str(seed), {})
            if ("organs" in done and not arguments.again) or time.monotonic() > end:
                continue
            result = run_row(table, row, seed, store, options)
            print(f"{row.id}, seed {seed}: {_brief(result)}", flush=True)
            # Another process may have written other rows meanwhile.
            found = load_results(arguments.results)
            found.setdefault(table.name, {}).setdefault(row.id, {})[str(seed)] = result
            save_results(arguments.results, found, "RESULTS.md", results_text(found))
    save_results(arguments.results, found, "RESULTS.md", results_text(found))


def run_row(
    table: Table, row: Row, seed: int, store: ArtifactStore, options: RunOptions
) -> dict[str, Any]:
    """Scores by organ and minutes of one row; the reason, if it failed."""
    try:
        recipe = row_recipe(table, row, seed)
        result = run_recipe(recipe, table.dataset, store, SilentReporter(), options)
    except FlareMRError as error:
        return {"error": str(error).strip()}
    scores = result.outcomes[SCORES].artifacts[0].folder / SUMMARY_NAME
    summary = json.loads(scores.read_text(encoding="utf-8"))["standard"]
    organs = {
        organ["organ"]: [organ["dice"]["mean"], organ["surface_dice"]["mean"]]
        for organ in summary["organs"]
    }
    return {
        "organs": organs,
        "minutes": round(_minutes(result), 2),
        "preset": table.preset,
        "machine": machine(options),
    }


def row_recipe(table: Table, row: Row, seed: int) -> Recipe:
    """The recipe of a row, without the stages that its scores do not need.

    Raises:
        RecipeError: there is no such recipe, stage or parameter.
    """
    recipe = load_recipe(row.recipe, preset=table.preset, profile=row.profile)
    scores = {SCORES: {"modes": ("standard",), "organs": row.organs or table.organs}}
    for changes in (table.changes, row.changes, scores):
        recipe = changed_recipe(recipe, changes)
    return reseeded_recipe(needed_recipe(recipe, [SCORES]), seed)


def machine(options: RunOptions) -> str:
    """Processor in general words."""
    threads = options.threads or os.cpu_count() or 1
    kind = "processor" if options.device == "cpu" else options.device
    return f"{kind}, {platform.machine()}, {threads} of {os.cpu_count()} cores"


def _minutes(result: RunResult) -> float:
    """Wall time of everything the row is made of, whichever run made it."""
    artifacts = (a for outcome in result.outcomes.values() for a in outcome.artifacts)
    return sum({a.key: a.record["duration_s"] for a in artifacts}.values()) / MINUTE_S


def _table(arguments: argparse.Namespace) -> Table:
    if arguments.data:
        return Table("real", REAL_ROWS, "small", FOUR, real_dataset(arguments.data))
    if arguments.eight:
        return Table("eight", WHOLE_ROWS, "mini", LARGE, changes={"cohort": COHORT})
    return Table("ablation", ABLATION_ROWS, "mini", LARGE)


def _brief(result: dict[str, Any]) -> str:
    if "error" in result:
        return result["error"].partition("\n")[0]
    dice = [scores[0] for scores in result["organs"].values()]
    return f"DSC {sum(dice) / len(dice):.3f} in {result['minutes']} min"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--data", type=Path, help="folder with splits.json")
    table.add_argument("--eight", action="store_true", help="whole recipes, eight sequences")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", default=[""], help="beginnings of ids of rows")
    parser.add_argument("--store", type=Path, default=Path("flaremr-store"))
    parser.add_argument("--results", type=Path, default=HERE / "adaptation.json")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no row after that")
    parser.add_argument("--again", action="store_true", help="run what has a result, too")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
