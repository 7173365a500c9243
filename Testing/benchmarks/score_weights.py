"""Scores weights on the validation images: a Markdown table of every case, organ and mode.

score_weights.py DATA [--weights ID|PATH ...] [--modes fast standard accurate] [-o TABLE.md]
                 [--pictures FOLDER]

DATA holds splits.json and the folders it names. Only annotated organs are scored. Pictures show
truth and prediction of each case in the slice where its worst organ differs most; they are of
people and belong into no repository.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import LabelTable, organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.imaging.metrics import OrganScore, score_case
from FlareMRCore.imaging.png import png_bytes
from FlareMRCore.pipeline.comparison import draw_comparison
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.pipeline.preview import write_png
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


@dataclass(frozen=True)
class ScoredCase:
    """A case with its truth, what the engine found, and scores by convention."""

    volume: Volume
    reference: LabelMap
    prediction: LabelMap
    scores: dict[str, list[OrganScore]]


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
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    lines = []
    for weights in arguments.weights:
        for mode in arguments.modes:
            engine = open_engine(EngineOptions(mode=mode, weights=weights), SilentReporter())
            title = f"{weights}, {mode}"
            lines += _table(arguments.data, engine, title, pictures=arguments.pictures)
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


def _table(data: Path, engine: Engine, title: str, *, pictures: Path | None) -> list[str]:
    lines = ["", f"### {title}", "", "| case | s | organ: DSC / NSD (standard) |", "|---|---|---|"]
    t2 = []
    for case in CASES:
        started = time.perf_counter()
        scored = scored_case(data, case, engine)
        seconds, scores = time.perf_counter() - started, scored.scores
        if pictures:
            write_picture(pictures / picture_name(title, case.name), scored)
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


def scored_case(data: Path, case: Case, engine: Engine) -> ScoredCase:
    """The case segmented, and scores of its annotated organs in both conventions.

    Raises:
        FlareMRError: an image or label map cannot be read, or not segmented.
    """
    labels = organ_table().subset(case.organs)
    reference = _restricted(read_label_map(data / case.labels), labels)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "labels.nii.gz"
        result = segment_file(data / case.image, output, engine=engine)
    prediction = _restricted(result.label_map, labels)
    scores = {
        mode: list(score_case(reference, prediction, mode=mode))  # type: ignore[arg-type]
        for mode in ("standard", "flare")
    }
    return ScoredCase(result.volume, reference, prediction, scores)


def write_picture(path: Path, case: ScoredCase) -> None:
    """Truth beside prediction as PNG, in the slice where the worst organ differs most."""
    path.parent.mkdir(parents=True, exist_ok=True)
    organ = worst_organ(case.scores["standard"])
    picture = draw_comparison(case.volume, case.reference, case.prediction, organ)
    write_png(path, png_bytes(picture))


def worst_organ(scores: Sequence[OrganScore]) -> str:
    """Organ of the lowest Dice; those that are in neither label map do not count."""
    return min((s for s in scores if s.dice == s.dice), key=lambda score: score.dice).organ


def picture_name(title: str, case: str) -> str:
    """File name of letters, digits and dashes."""
    plain = "".join(c if c.isalnum() else "-" for c in f"{Path(title).name} {case}".lower())
    return "-".join(filter(None, plain.split("-"))) + ".png"


def _restricted(label_map: LabelMap, labels: LabelTable) -> LabelMap:
    return LabelMap(label_map.array, label_map.geometry, labels)


if __name__ == "__main__":
    main()
