"""How one network learns from pools of labeled and unlabeled cases: values only, for recipes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from FlareMRCore.errors import UsageError
from FlareMRCore.training.learning_parameters import (
    BatchComposition,
    DeepSupervision,
    DiceCE,
    Optimization,
    TrainerParameters,
)

UNLABELED = "unlabeled"
"""Name of the pool whose labels are never looked at."""
VALIDATION = "validation"
"""Name of the pool that nothing is learned from, and that the best weights are chosen on."""


@dataclass(frozen=True, slots=True)
class PoolTrainingParameters:
    """What to train, on what, and how.

    Attributes:
        builder: name in NETWORKS.
        patch_shape: (K, J, I), or (J, I) for a 2-D network.
        trainer: steps, seed, precision and averaging.
        method: ``"supervised"``: the labeled pools only, each with its weight (hybrid);
            ``"mean-teacher"``: and agreement with the teacher on pool "unlabeled";
            ``"hard-union"``: and the teacher's classes joined with the labels, on the same images.
        optimization: how the network is updated.
        loss: cross entropy and Dice.
        supervision: how outputs at several resolutions count.
        composition: pools of every batch.
        pool_weights: factor of a pool's loss; 1 for those not listed.
        foreground_share: share of the patches that are centered on a class.
        augmentation: name in AUGMENTATIONS.
        frozen: parameters that stay, by the start of their names.
        branch_classes: classes of each branch of the network; empty for one branch.
        branch_weights: factor of each branch's loss; empty for 1.
        consistency: False leaves the mean teacher's agreement out, as published code does.
        union_weight: factor of the loss of "hard-union".
        union_class: class of the labels that "hard-union" forces.
        validation_patches: patches of each case of pool "validation" that `trainer.validate_every`
            looks at, around their classes and always the same.
    """

    builder: str
    patch_shape: tuple[int, ...]
    trainer: TrainerParameters
    method: Literal["supervised", "mean-teacher", "hard-union"] = "supervised"
    optimization: Optimization = field(default_factory=Optimization)
    loss: DiceCE = field(default_factory=DiceCE)
    supervision: DeepSupervision = field(default_factory=DeepSupervision)
    composition: BatchComposition = field(default_factory=BatchComposition)
    pool_weights: tuple[tuple[str, float], ...] = ()
    foreground_share: float = 0.33
    augmentation: str = "nnunet"
    frozen: tuple[str, ...] = ()
    branch_classes: tuple[int, ...] = ()
    branch_weights: tuple[float, ...] = ()
    consistency: bool = True
    union_weight: float = 1.0
    union_class: int = 1
    validation_patches: int = 2

    def __post_init__(self) -> None:
        if self.method != "supervised" and self.trainer.averaging.rule == "none":
            raise UsageError(
                f"Method '{self.method}' has a teacher: choose trainer.averaging.rule.",
                code="usage.teacher",
            )
        if self.validation_patches < 1:
            raise UsageError("validation_patches is at least 1.", code="usage.validation")
        if self.branch_weights and len(self.branch_weights) != max(1, len(self.branch_classes)):
            raise UsageError("Give one branch weight per branch.", code="usage.branch")
