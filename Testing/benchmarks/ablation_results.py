"""ABLATION.md from ablation.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from ablation_rows import FURTHER_STEPS, ROWS, START_STEPS, STEPS, Row, total_steps

Found = Mapping[str, Mapping[str, Any]]
DICE, SURFACE_DICE = 0, 1
LARGE = ("liver", "right_kidney", "spleen", "left_kidney", "stomach")
T2, UKAT, EXAMPLE = "T2-SPIR", "UKAT", "TotalSegmentator"
KIDNEYS = ("right_kidney", "left_kidney")
"""Beginnings of the names of the validation cases."""

INTRODUCTION = f"""\
# What each part of the training brings

    PYTHONPATH=. OMP_NUM_THREADS=1 python Testing/benchmarks/ablation.py DATA

Every row but PHTrans is the narrow network `flaremr-base` (1.8 M parameters) at 8 mm in bfloat16:
{START_STEPS} steps from random weights on CT as it is, {STEPS} steps on what the row says
(g: {FURTHER_STEPS} more). Rows of one table start from the same weights if they have the same CT.
Samples have 32x24x40 or 16x24x40 voxels; the learning rate of 2e-3 falls to zero in each part; seed
0; the moving average is exported and scored with the engine on the validation images alone. That is
far less training than the bundled weights had (`weights.md`): the tables are about differences, not
about what can be reached.

`T2-SPIR`: four cases, liver, kidneys and spleen; mean DSC, lowest organ of any case, mean NSD.
`UKAT`: DSC of right and left kidney in one coronal gradient echo. `T1`: mean DSC of liver, kidneys,
spleen and stomach in one example whose labels another model made. Minutes are processor time of all
trainings a row is made of. This file is written by `ablation.py` from `ablation.json`.
"""
TABLES = {
    "data": f"""\
## What is learned from

CT and their label maps: the 30 of BTCV (no phantoms, no other CT). In b every image passes through
a random curve, with random offsets of organs (from the label maps), inner structure and the
simulated MR artifacts that all random contrasts have; c adds shallow random networks to 60 % of the
curves. d paints half of the images with signal equations and a quarter with random gray values,
organ by organ; a quarter are those of c. f adds 8 T2-SPIR, one T1 in and out of phase and one
gradient echo with their partial labels, and is the only row that reads labels of MR. g continues e
for {FURTHER_STEPS} steps with the same MR and a coronal HASTE, labeled by e itself: images whose
liver, kidneys or spleen have 0.2 times the mean volume in CT or less, or 1.8 times or more, are
left out; other organs, and voxels with a probability under 0.85, are not taught.
""",
    "maps": """\
## Number of label maps

As d (which has 30), with so many of the CT, drawn at random, from the first step on; smaller sets
are not parts of larger ones.
""",
    "network": """\
## Network

As e, with the small PHTrans of Li et al. on samples of 32x32x48 voxels, the only shape it takes.
Equal cost means equal processor time: one forward and backward pass takes 0.33 s, of the residual
U-Net 0.29 s on the same samples; a whole training step of the latter on its own smaller samples
0.17 s, so PHTrans has 225 and 135 steps instead of 500 and 300. In arithmetic of one evaluation of
32x32x48 voxels it has 3.4 GMACs and 6.7 M parameters, the residual U-Net 6.5 and 1.8.
The finest answer alone is taught; the learning rate of the first row is the one chosen for the
residual U-Net.
""",
    "mode": """\
## Mode

The weights of e as they are. Without a fine network, fast and standard are the same.
""",
    "spacing": """\
## Resolution

As d at 6 mm, with as many voxels per sample, which then show less of the abdomen.
""",
    "scratch": f"""\
## Without the start on CT

{START_STEPS} steps from random weights.
""",
}
READING = """\
## What the tables say, and what not

* One seed each. d with another seed for its own 300 steps differs by 0.028 in T2-SPIR DSC, one pair
  and without the noise of the start: 0.02 to 0.03 say nothing.
* The rows of the last table came first and had learned too little to be told apart, which is why
  all others start on CT as it is. After that start 300 steps of d reach 0.49, while 500 from random
  weights reach 0.28; that is 800 steps against 500, so not the order alone.
* From random weights, curves and random networks (b, c) find the liver and nothing else in 500
  steps, 0.17 and 0.18; signal equations and random gray values (d) bring 0.10 more.
* After the start on CT, a reaches 0.23 (T1: nothing), b 0.34, c 0.36, d 0.49: random curves and
  painting by label maps bring most, random networks 0.02, which is not shown.
* Five or ten label maps do as well as 20 or 30 (0.54, 0.56, 0.47, 0.49): in 800 steps their number
  is not what holds the network back. Whether it is after 10 000 steps is not measured.
* Label maps without images (e) bring 0.055 over d and 0.027 over its other seed: not shown. They
  are six, drawn as often as six CT.
* Real MR with partial labels brings most, 0.22 over e: eight of its eleven images are T2-SPIR of
  the same kind as those scored. On UKAT and T1 it brings nothing.
* Self-training brings 0.016 over training as long without it: not shown. Only two of the twelve
  images passed the filter; most kidneys of e were too large.
* Zoomed views (mode accurate) change nothing: 0.541 instead of 0.546.
* PHTrans has learned a part of the liver at the first learning rate (0.11) and more at the second
  (0.21), at the cost at which the residual U-Net reaches 0.55. It may need many more steps.
* At 6 mm the same steps teach less than at 8 mm (0.34, 0.49); why was not looked into.
* UKAT is missed by every row, and spleen, left kidney and stomach of T1 too: at this length of
  training these columns tell nothing apart. The bundled weights find them in part (`weights.md`).
* Nothing here says what finer networks, or these after more steps, gain from the same parts.
"""


def results_text(found: Found) -> str:
    """All of ABLATION.md."""
    parts = [INTRODUCTION]
    for name, words in TABLES.items():
        rows = tuple(row for row in ROWS if row.id.startswith(f"{name}/"))
        parts += [words, "\n".join((*table_lines(rows, found), "")), *_notes(rows, found)]
    machines = sorted({result["machine"] for result in found.values()})
    parts.append(f"Machine: {'; '.join(machines) or 'none yet'}; other work used it too.\n")
    return "\n".join([*parts, READING]).rstrip() + "\n"


def table_lines(rows: tuple[Row, ...], found: Found) -> Iterator[str]:
    """The Markdown table of some rows; those without a result say so."""
    yield "| row | T2-SPIR DSC | lowest | NSD | UKAT | T1 | cases | steps | seed | min |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if row.id not in found:
            yield f"| {row.title} | not run |" + " |" * 8
            continue
        result = found[row.id]
        cells = (
            *scores(result),
            result["cases"],
            total_steps(row),
            row.seed,
            f"{result['minutes']:.1f}",
        )
        yield f"| {row.title} | {' | '.join(str(cell) for cell in cells)} |"


def scores(result: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Mean DSC, lowest DSC and NSD of the T2-SPIR; DSC of the UKAT kidneys and of the T1."""
    t2 = [v for organs in _cases(result, T2) for v in organs.values()]
    kidneys = [organs[organ] for organs in _cases(result, UKAT) for organ in KIDNEYS]
    large = [organs[organ] for organs in _cases(result, EXAMPLE) for organ in LARGE]
    return (
        f"{fmean(v[DICE] for v in t2):.3f}",
        f"{min(v[DICE] for v in t2):.2f}",
        f"{fmean(v[SURFACE_DICE] for v in t2):.3f}",
        " ".join(f"{v[DICE]:.2f}" for v in kidneys),
        f"{fmean(v[DICE] for v in large):.2f}",
    )


def _cases(result: Mapping[str, Any], beginning: str) -> list[Mapping[str, list[float]]]:
    return [organs for name, organs in result["scores"].items() if name.startswith(beginning)]


def _notes(rows: tuple[Row, ...], found: Found) -> list[str]:
    notes = [(row.title, found.get(row.id, {}).get("note", "")) for row in rows]
    return [f"{title}: {note}.\n" for title, note in notes if note]
