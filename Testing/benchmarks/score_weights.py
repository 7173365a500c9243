"""Scores weights on the validation images: a Markdown table of every case, organ and mode.

score_weights.py DATA [--weights ID|PATH ...] [--modes fast standard accurate] [-o TABLE.md]

DATA holds splits.json and the folders it names. Only annotated organs are scored.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import LabelTable, organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.metrics import OrganScore, score_case
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.pipeline.segment_case import segment_file
from FlareMRCore.progress import SilentReporter

KIDNEYS = ("right_kidney", "left_kidney")
FOUR = ("liver", "right_kidney", "spleen", "left_kidney")
MANY = (*FOUR, "pancreas", "aorta", "inferior_vena_cava", "right_adrenal_gland",
        "left_adrenal_gland", "gallbladder", "stomach", "duodenum")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A validation image, its label map and the organs that are annotated in it."""

    name: str
    image: str
    labels: str
    organs: tuple[str, ...]


CASES = (
    *(
        Case(
            f"T2-SPIR {n}",
            f"mr_chaos_t2spir/chaos{n}_t2spir.nii.gz",
            f"mr_chaos_t2spir/chaos{n}_label4organ.nii.gz",
            FOUR,
        )
        for n in (19, 20, 21, 22)
    ),
    Case(
        "UKAT GE, coronal GRE",
        "mr_other/ukat_ge01_gre.nii.gz",
        "mr_other/ukat_ge01_label_kidneys.nii.gz",
        KIDNEYS,
    ),
    Case(
        "TotalSegmentator example, T1 (labels predicted by another model)",
        "mr_other/totalseg_example_mr.nii.gz",
        "mr_other/totalseg_example_mr_label.nii.gz",
        MANY,
    ),
)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", nargs="+", default=["flaremr", "flaremr-ct"])
    parser.add_argument("--modes", nargs="+", default=["fast", "standard", "accurate"])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    lines = []
    for weights in arguments.weights:
        for mode in arguments.modes:
            engine = open_engine(EngineOptions(mode=mode, weights=weights), SilentReporter())
            lines += _table(arguments.data, engine, f"{weights}, {mode}")
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


def _table(data: Path, engine: Engine, title: str) -> list[str]:
    lines = ["", f"### {title}", "", "| case | s | organ: DSC / NSD (standard) |", "|---|---|---|"]
    t2 = []
    for case in CASES:
        started = time.perf_counter()
        scores = case_scores(data, case, engine)
        seconds = time.perf_counter() - started
        cells = ", ".join(
            f"{s.organ} {s.dice:.3f}/{s.surface_dice:.3f}" for s in scores["standard"]
        )
        lines.append(f"| {case.name} | {seconds:.1f} | {cells} |")
        if case.name.startswith("T2"):
            t2.append(scores)
    for mode in ("standard", "flare"):
        found = [score for scores in t2 for score in scores[mode]]
        dice = sum(s.dice for s in found) / len(found)
        surface = sum(s.surface_dice for s in found) / len(found)
        lowest = min(s.dice for s in found)
        lines.append(
            f"\nT2-SPIR, four organs, {mode}: DSC {dice:.3f}, lowest {lowest:.3f}, "
            f"NSD {surface:.3f}"
        )
    return lines


def case_scores(data: Path, case: Case, engine: Engine) -> dict[str, list[OrganScore]]:
    """Scores of the annotated organs of a case, by convention ("standard" and "flare").

    Raises:
        FlareMRError: an image or label map cannot be read, or not segmented.
    """
    labels = organ_table().subset(case.organs)
    reference = _restricted(read_label_map(data / case.labels), labels)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "labels.nii.gz"
        result = segment_file(data / case.image, output, engine=engine)
    prediction = _restricted(result.label_map, labels)
    return {
        mode: list(score_case(reference, prediction, mode=mode))  # type: ignore[arg-type]
        for mode in ("standard", "flare")
    }


def _restricted(label_map: LabelMap, labels: LabelTable) -> LabelMap:
    return LabelMap(label_map.array, label_map.geometry, labels)


if __name__ == "__main__":
    main()
