"""How a network learns: values only, so that recipes and checks read them without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from FlareMRCore.errors import UsageError
from FlareMRCore.training.schedules import Schedule

IGNORE = 255
"""Label of voxels that teach nothing."""


@dataclass(frozen=True, slots=True)
class Optimization:
    """How a group of parameters is updated.

    Attributes:
        optimizer: which rule.
        learning_rate: before the schedule's factor.
        weight_decay: decoupled for AdamW and AdaBelief, else added to the gradient.
        momentum: of SGD, always Nesterov's; 0 for none.
        betas: of the other rules.
        epsilon: of the other rules.
        decay_vectors: False spares biases, norms and tables of relative positions.
        clip_norm: largest norm of the group's gradient; 0 for no limit.
        schedule: factor of the learning rate by step.
    """

    optimizer: Literal["sgd", "adam", "adamw", "adabelief"] = "adamw"
    learning_rate: float = 5e-4
    weight_decay: float = 0.0
    momentum: float = 0.99
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay_vectors: bool = True
    clip_norm: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True, slots=True)
class Averaging:
    """Moving average of the weights.

    Attributes:
        rule: ``"none"``; ``"constant"``: always `decay`; ``"teacher"``: min(1 - 1/(t + 1), decay);
            ``"gentle"``: min(t / (t + 10), decay), which forgets the start more slowly.
        decay: share of the average that stays in each step, at most.
        prefixes: parameters to average, by the start of their names; empty for all.
    """

    rule: Literal["none", "constant", "teacher", "gentle"] = "none"
    decay: float = 0.99
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainerParameters:
    """What every training has.

    Attributes:
        steps: optimizer steps in total.
        seed: of the initial weights and of everything drawn.
        checkpoint_every: steps between checkpoints.
        precision: of the network's arithmetic; float16 scales the loss.
        averaging: moving average that is exported.
        accumulate: batches of each step; their gradients are averaged.
        validate_every: steps between validations, where the training has cases for it; the
            weights with the lowest loss are exported. 0 exports the last ones.
        patience: validations without a better one after which the training ends; 0 for never.
    """

    steps: int
    seed: int = 0
    checkpoint_every: int = 100
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    averaging: Averaging = field(default_factory=Averaging)
    accumulate: int = 1
    validate_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        if self.accumulate < 1 or self.validate_every < 0 or self.patience < 0:
            raise UsageError(
                "accumulate is at least 1, validate_every and patience at least 0.",
                code="usage.trainer",
            )


@dataclass(frozen=True, slots=True)
class DiceCE:
    """Options of `dice_ce`.

    Attributes:
        batch: one Dice per class over the whole batch (of all processes) instead of one per sample.
        squared: denominators of squares, 2pg / (p^2 + g^2).
        background: class 0 counts in the mean Dice.
        smooth: added to numerator and denominator of the Dice.
        ignore: label of voxels that teach nothing.
        class_weights: of the cross entropy; empty for equal ones.
        dice_weight: factor of 1 - Dice.
        cross_entropy_weight: factor of the cross entropy.
    """

    batch: bool = True
    squared: bool = False
    background: bool = False
    smooth: float = 1e-5
    ignore: int = IGNORE
    class_weights: tuple[float, ...] = ()
    dice_weight: float = 1.0
    cross_entropy_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class DeepSupervision:
    """How the outputs of a network at several resolutions count.

    Attributes:
        mode: ``"label-down"`` shrinks labels to each output (nearest), ``"logit-up"`` enlarges
            logits to the labels (linear).
        last_counts: False gives the coarsest of several outputs the weight 0.
    """

    mode: Literal["label-down", "logit-up"] = "label-down"
    last_counts: bool = False


@dataclass(frozen=True, slots=True)
class BatchComposition:
    """What every batch is made of.

    Attributes:
        shares: name of each pool and how many items of a batch come from it.
        order: ``"shuffled"`` takes each case of a pool once before any comes again, ``"random"``
            draws each time from all.
    """

    shares: tuple[tuple[str, int], ...] = (("labeled", 1),)
    order: Literal["shuffled", "random"] = "shuffled"

    @property
    def size(self) -> int:
        """Items of a batch."""
        return sum(count for _, count in self.shares)
