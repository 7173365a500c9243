"""Losses of a batch from several pools: hybrid supervision, mean teacher, union with a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from FlareMRCore.training.checkpoint import State
from FlareMRCore.training.consistency import (
    consistency_loss,
    consistency_weight,
    teacher_noise,
    union_with_truth,
)
from FlareMRCore.training.deep_supervision import (
    deeply_supervised,
    shrunk_labels,
    supervision_weights,
)
from FlareMRCore.training.dice_ce import dice_ce
from FlareMRCore.training.learning_parameters import DeepSupervision
from FlareMRCore.training.mean_teacher import teacher_outputs
from FlareMRCore.training.pool_parameters import UNLABELED, PoolTrainingParameters
from FlareMRCore.training.trainer import Batch, Objective, TrainingState

GROUP = "network"
Outputs = list[Tensor]


def pool_objectives(
    batch: Batch,
    state: TrainingState,
    parameters: PoolTrainingParameters,
    counts: Sequence[tuple[str, int]],
) -> Iterator[Objective]:
    """The one loss of a batch, with its terms.

    Args:
        batch: "image" (B, 1, ...), "labels" (B, branches, ...), "known" (B, classes).
        state: of the training.
        parameters: see `PoolTrainingParameters`.
        counts: pools in order of the batch, and their items in it.
    """
    image = batch.tensors["image"]
    outputs = _outputs(state.network(image))
    terms: dict[str, Tensor] = {}
    weights = dict(parameters.pool_weights)
    total = outputs[0].sum() * 0
    first = 0
    for pool, count in counts:
        items = slice(first, first + count)
        first += count
        if pool != UNLABELED and weights.get(pool, 1.0):
            terms[pool] = _supervised(outputs, batch, items, parameters)
            total = total + weights.get(pool, 1.0) * terms[pool]
        elif parameters.method == "mean-teacher" and parameters.consistency:
            terms["consistency"] = _agreement(outputs[0][items], image[items], state)
            ramp = consistency_weight(state.step, parameters.trainer.steps)
            total = total + ramp * terms["consistency"]
    if parameters.method == "hard-union":
        terms["union"] = _union(outputs, batch, state, parameters)
        total = total + parameters.union_weight * terms["union"]
    yield Objective(GROUP, total, {name: term.detach() for name, term in terms.items()})


def validation_loss(
    batch: Batch, state: TrainingState, parameters: PoolTrainingParameters
) -> float:
    """Dice loss of the branches that learn, with averaged weights; the network is in eval mode.

    Args:
        batch: as for `pool_objectives`.
        state: of the training.
        parameters: see `PoolTrainingParameters`.
    """
    outputs = teacher_outputs(state.network, _teacher(state), batch.tensors["image"])
    only_dice = replace(parameters.loss, cross_entropy_weight=0.0, dice_weight=1.0)
    plain = replace(parameters, loss=only_dice, supervision=DeepSupervision(last_counts=True))
    return _supervised(outputs[:1], batch, slice(None), plain).item()


def _supervised(
    outputs: Outputs, batch: Batch, items: slice, parameters: PoolTrainingParameters
) -> Tensor:
    """Sum of the branches' losses on some items of the batch."""
    labels, known = batch.tensors["labels"][items], batch.tensors["known"][items]
    total = outputs[0].sum() * 0
    for branch, (channels, weight) in enumerate(_branches(outputs, parameters)):
        if weight:
            logits = [output[items, channels] for output in outputs]
            loss = _voxel_loss(known[:, channels], parameters)
            total = total + weight * deeply_supervised(
                logits,
                labels[:, branch],
                loss,
                weights=_level_weights(outputs, parameters),
                mode=parameters.supervision.mode,
            )
    return total


def _voxel_loss(
    known: Tensor, parameters: PoolTrainingParameters
) -> Callable[[Tensor, Tensor], Tensor]:
    everything = bool(known.all())

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return dice_ce(logits, labels, parameters.loss, known=None if everything else known)

    return loss


def _agreement(student: Tensor, image: Tensor, state: TrainingState) -> Tensor:
    """Difference of the student to the teacher, who sees the image through noise."""
    generator = torch.Generator(image.device).manual_seed(state.step)
    teacher = teacher_outputs(state.network, _teacher(state), teacher_noise(image, generator))
    return consistency_loss(student, teacher[0])


def _union(
    outputs: Outputs, batch: Batch, state: TrainingState, parameters: PoolTrainingParameters
) -> Tensor:
    """Loss against the teacher's classes joined with the labels, at every resolution by itself."""
    labels = batch.tensors["labels"][:, 0]
    found = teacher_outputs(state.network, _teacher(state), batch.tensors["image"])
    weights = _level_weights(outputs, parameters)
    terms = []
    for output, teacher, weight in zip(outputs, found, weights, strict=True):
        if weight:
            small = shrunk_labels(labels, output.shape[2:])
            union = union_with_truth(teacher, small, value=parameters.union_class)
            terms.append(weight * dice_ce(output, union, parameters.loss))
    return torch.stack(terms).sum()


def _teacher(state: TrainingState) -> State:
    """The averaged weights; what is not averaged is the network's own."""
    return {**state.network.state_dict(), **state.average}


def _branches(
    outputs: Outputs, parameters: PoolTrainingParameters
) -> Iterator[tuple[slice, float]]:
    """Channels and weight of each branch."""
    classes = parameters.branch_classes or (outputs[0].shape[1],)
    weights = parameters.branch_weights or (1.0,) * len(classes)
    first = 0
    for count, weight in zip(classes, weights, strict=True):
        yield slice(first, first + count), weight
        first += count


def _level_weights(outputs: Outputs, parameters: PoolTrainingParameters) -> tuple[float, ...]:
    return supervision_weights(len(outputs), last_counts=parameters.supervision.last_counts)


def _outputs(logits: Tensor | Outputs) -> Outputs:
    return [logits] if isinstance(logits, Tensor) else list(logits)
