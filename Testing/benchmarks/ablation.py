"""What each part of the training of our weights brings: ABLATION.md.

ablation.py DATA [--rows PREFIX ...] [--store FOLDER] [--again] [--minutes N]

Every row is a narrow network (but one), trained from random weights or from those of another row,
exported and scored with the engine on the validation images (`score_weights.CASES`). DATA holds the
folders named in FlareMRCore/resources/training/public-*.toml and unlabeled-mr.toml. Packs, weights
and pseudo-labels stay in the store. Rows that ablation.json has are not run again, unless with
--again; trainings that the store has are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ablation_data import cases_of, labeled_mr, packed_cases, save_cases
from ablation_results import results_text
from ablation_rows import (
    PHTRANS,
    PHTRANS_SHAPE,
    ROWS,
    Row,
    row_called,
    total_steps,
    training_parameters,
)
from results_file import load_results, save_results
from score_weights import CASES, scored_case

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.initial_weights import initial_state
from FlareMRCore.training.model_folder import (
    ModelDescription,
    TrainedNetwork,
    own_network,
    write_networks,
)
from FlareMRCore.training.pack import PackedCase, load_pack
from FlareMRCore.training.segmentation import train_segmentation
from FlareMRCore.weights.registry import NetworkSpec

HERE = Path(__file__).parent
MINUTE_S = 60.0
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Places:
    """Where images come from, and where everything that is made goes."""

    data: Path
    store: Path

    def folder(self, row: Row) -> Path:
        """Of the row's training and model."""
        return self.store / row.id


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of a row, processor time of all its trainings, and what is to say of its cases."""

    weights: Path
    minutes: float
    cases: int
    note: str = ""


def main() -> None:
    """Run what is missing, write the tables after each row."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    places = Places(arguments.data, arguments.store)
    end = time.monotonic() + MINUTE_S * arguments.minutes
    found = load_results(arguments.results)
    for row in (row for row in ROWS if row.id.startswith(tuple(arguments.rows))):
        if (row.id in found and not arguments.again) or time.monotonic() > end:
            continue
        result = run_row(row, places)
        found[row.id] = result
        save_results(arguments.results, found, "ABLATION.md", results_text(found))
        print(f"{row.id}: {json.dumps(result)}", flush=True)
    save_results(arguments.results, found, "ABLATION.md", results_text(found))


def run_row(row: Row, places: Places) -> dict[str, Any]:
    """Scores of the validation cases, minutes, and what they belong to.

    Raises:
        FlareMRError: see the functions of `FlareMRCore.training`.
    """
    made = trained(row, places)
    engine = _engine(row, made.weights, places)
    scores = {
        case.name: {
            score.organ: [round(score.dice, 4), round(score.surface_dice, 4)]
            for score in scored_case(places.data, case, engine).scores["standard"]
        }
        for case in CASES
    }
    return {
        "scores": scores,
        "minutes": round(made.minutes, 2),
        "cases": made.cases,
        "steps": total_steps(row),
        "seed": row.seed,
        "note": made.note,
        "machine": f"processor, {platform.machine()}, 1 of {os.cpu_count()} cores",
    }


def trained(row: Row, places: Places) -> Trained:
    """The row's weights: trained, or those that the store has of a training with its parameters."""
    initial = trained(row_called(row.initial), places) if row.initial else None
    if initial and not row.steps:
        return initial
    folder, parameters = places.folder(row), training_parameters(row)
    cases, note = _cases(row, places)
    identity = f"{parameters!r} {sorted(case.case_id for case in cases)} {row.initial}"
    record = load_results(folder / "row.json")
    if record.get("identity") != identity:
        shutil.rmtree(folder / "run", ignore_errors=True)
        started = time.process_time()
        train_segmentation(
            cases,
            parameters,
            folder / "run",
            reporter=SilentReporter(),
            device=CPU,
            initial=initial_state(initial.weights, row.builder) if initial else None,
        )
        record = {"identity": identity, "minutes": (time.process_time() - started) / MINUTE_S}
        write_text_atomically(folder / "row.json", json.dumps(record))
    minutes = record["minutes"] + (initial.minutes if initial else 0.0)
    return Trained(folder / "run" / "weights.pt", minutes, len(cases), note)


def network_spec(row: Row) -> NetworkSpec:
    """How the engine feeds the row's network: as our coarse one, PHTrans in windows."""
    spec = replace(
        own_network("flaremr-coarse", "", spacing_mm=row.spacing_mm),
        builder=row.builder,
        multiple_of=(8, 8, 8),
    )
    if row.builder != PHTRANS:
        return spec
    return replace(spec, fixed_shape=PHTRANS_SHAPE, multiple_of=(1, 1, 1))


def _cases(row: Row, places: Places) -> tuple[tuple[PackedCase, ...], str]:
    packed = packed_cases(places.data, places.store, row.spacing_mm)
    cases = cases_of(row, packed)
    if not row.labeled_by:
        return cases, ""
    folder, teacher = places.folder(row) / "pack", row_called(row.labeled_by)
    if not (folder / "note.txt").is_file():
        engine = _engine(teacher, trained(teacher, places).weights, places, confidence_map=True)
        labeled = labeled_mr(places.data, engine, packed, row.spacing_mm)
        save_cases(labeled.cases, folder)
        kept, left = len(labeled.cases), ", ".join(labeled.rejected) or "none"
        write_text_atomically(folder / "note.txt", f"{kept} MR labeled; rejected: {left}")
    return cases + load_pack(folder), (folder / "note.txt").read_text(encoding="utf-8")


def _engine(row: Row, weights: Path, places: Places, *, confidence_map: bool = False) -> Engine:
    folder = places.folder(row) / "model"
    network = TrainedNetwork(weights, "coarse", network_spec(row))
    name = row.id.replace("/", "-")
    write_networks((network,), folder, ModelDescription(name, row.title))
    options = EngineOptions(
        str(folder), row.mode, device="cpu", threads=1, confidence_map=confidence_map
    )
    return open_engine(options, SilentReporter())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", nargs="+", default=[""], help="beginnings of ids of rows")
    parser.add_argument("--store", type=Path, default=Path("flaremr-ablation"))
    parser.add_argument("--results", type=Path, default=HERE / "ablation.json")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no row after that")
    parser.add_argument("--again", action="store_true", help="run what has a result, too")
    return parser


if __name__ == "__main__":
    main()
