"""Rows of the ablation: what each network is trained on, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from FlareMRCore.training.parameters import SamplingParameters, TrainingParameters

START_STEPS = 500
"""On CT as it is, before what the row is about."""
STEPS = 300
"""Of what the row is about."""
FURTHER_STEPS = 200
"""Of self-training and its control."""
PHTRANS_START_STEPS, PHTRANS_STEPS = 225, 135
"""As many as take the same processor time."""
SPACING_MM = 8.0
RESIDUAL, PHTRANS = "flaremr-base", "li2024-base"
PHTRANS_SHAPE = (32, 32, 48)
SHAPES = ((32, 24, 40), (16, 24, 40))
SHAPE_SHARES = (0.6, 0.4)
LEARNING_RATE, LOWER_LEARNING_RATE = 2e-3, 5e-4

CT = ("btcv",)
MAPS = ("tucpd", "spl-atlas", "icrp110", "xcat")
"""Label maps without an image."""
MR = ("chaos-t2spir", "chaos-t1-in-phase", "chaos-t1-opposed", "ukat-philips")

PLAIN = {"keep_ct": 1.0}
CURVES = {"contrast_shares": (0.0, 0.0, 1.0), "network_share": 0.0}
NETWORKS = {"contrast_shares": (0.0, 0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        id: key in ablation.json; its part before "/" is the table.
        title: what people read.
        groups: of public-data.toml and public-mr.toml.
        sampling: what differs from `SamplingParameters` and the common shapes.
        cts: how many cases of the group btcv, drawn with `seed`; None for all.
        seed: of the cases, the initial weights and the samples.
        builder: network.
        steps: of the training; 0 to score the weights of `initial` as they are.
        spacing_mm: of samples and of the network's input.
        initial: id of the row whose weights it starts from.
        labeled_by: id of the row whose network labels the unlabeled MR; none without it.
        mode: of the engine.
        learning_rate: of the training.
    """

    id: str
    title: str
    groups: tuple[str, ...] = CT
    sampling: Mapping[str, Any] = field(default_factory=dict)
    cts: int | None = None
    seed: int = 0
    builder: str = RESIDUAL
    steps: int = STEPS
    spacing_mm: float = SPACING_MM
    initial: str = ""
    labeled_by: str = ""
    mode: str = "standard"
    learning_rate: float = LEARNING_RATE


def _start(name: str, **changes: Any) -> Row:
    sampling = PLAIN | changes.pop("sampling", {})
    values = {"steps": START_STEPS, **changes}
    return Row(f"start/{name}", f"start: {name}", sampling=sampling, **values)


START, E_ROW = "scratch/a", "data/e"
PHTRANS_SAMPLING = {"shapes": (PHTRANS_SHAPE,), "shape_shares": (1.0,)}
STARTS = (
    *(_start(f"{count}", cts=count) for count in (5, 10, 20)),
    _start("phtrans", builder=PHTRANS, steps=PHTRANS_START_STEPS, sampling=PHTRANS_SAMPLING),
    _start("phtrans-lower", builder=PHTRANS, steps=PHTRANS_START_STEPS, sampling=PHTRANS_SAMPLING,
           learning_rate=LOWER_LEARNING_RATE),
    _start("6mm", spacing_mm=6.0),
)  # fmt: skip
"""What other rows start from; not scored."""
ROWS = (
    Row("data/a", "a. CT as it is", sampling=PLAIN, initial=START),
    Row("data/b", "b. CT through random curves", sampling=CURVES, initial=START),
    Row("data/c", "c. + random networks", sampling=NETWORKS, initial=START),
    Row("data/d", "d. + synthesis from the label maps of the CT", initial=START),
    Row(E_ROW, "e. + label maps without images", CT + MAPS, initial=START),
    Row("data/f", "f. + real MR with partial labels", CT + MAPS + MR, initial=START),
    Row("data/g0", "e, trained further (control of g)", CT + MAPS, steps=FURTHER_STEPS,
        initial=E_ROW),
    Row("data/g", "g. e, trained further with its labels of MR", CT + MAPS, steps=FURTHER_STEPS,
        initial=E_ROW, labeled_by=E_ROW),
    Row("data/d-seed1", "d with another seed", seed=1, initial=START),
    *(Row(f"maps/{count}", f"{count} label maps", cts=count, initial=f"start/{count}")
      for count in (5, 20, 10)),
    Row("network/phtrans", "PHTrans small (Li 2024)", CT + MAPS, PHTRANS_SAMPLING,
        builder=PHTRANS, steps=PHTRANS_STEPS, initial="start/phtrans"),
    Row("network/phtrans-lower", "PHTrans small at a quarter of the learning rate", CT + MAPS,
        PHTRANS_SAMPLING, builder=PHTRANS, steps=PHTRANS_STEPS, initial="start/phtrans-lower",
        learning_rate=LOWER_LEARNING_RATE),
    Row("mode/fast", "e, fast", steps=0, initial=E_ROW, mode="fast"),
    Row("mode/accurate", "e, accurate (zoomed views)", steps=0, initial=E_ROW, mode="accurate"),
    Row("spacing/6", "d at 6 mm", spacing_mm=6.0, initial="start/6mm"),
    Row(START, "a from random weights (the start of the others)", sampling=PLAIN,
        steps=START_STEPS),
    Row("scratch/b", "b from random weights", sampling=CURVES, steps=START_STEPS),
    Row("scratch/c", "c from random weights", sampling=NETWORKS, steps=START_STEPS),
    Row("scratch/d", "d from random weights", steps=START_STEPS),
)  # fmt: skip
"""In the order of the tables."""


def row_called(row_id: str) -> Row:
    """The row or start with this id."""
    return next(row for row in (*ROWS, *STARTS) if row.id == row_id)


def total_steps(row: Row) -> int:
    """Steps of the row and of all that it starts from."""
    return row.steps + (total_steps(row_called(row.initial)) if row.initial else 0)


def training_parameters(row: Row) -> TrainingParameters:
    """What the row's training is told."""
    common = {"shapes": SHAPES, "shape_shares": SHAPE_SHARES, "spacing_mm": row.spacing_mm}
    return TrainingParameters(
        row.builder,
        row.steps,
        learning_rate=row.learning_rate,
        seed=row.seed,
        precision="bfloat16",
        sampling=SamplingParameters(**{**common, **row.sampling}),
    )
