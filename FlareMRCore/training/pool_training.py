"""Training of any network on pools of cases: labeled, corrected, pseudo-labeled, unlabeled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from FlareMRCore.networks.builders import build_network, network_entry
from FlareMRCore.progress import Reporter
from FlareMRCore.training.augmentation import apply_augmentation, draw_augmentation
from FlareMRCore.training.augmentation_parameters import augmentation_named
from FlareMRCore.training.batch_composition import ItemDraw, draw_items
from FlareMRCore.training.checkpoint import State, export_state
from FlareMRCore.training.distributed import Processes, process_group
from FlareMRCore.training.freezing import freeze
from FlareMRCore.training.learning_parameters import IGNORE
from FlareMRCore.training.patches import TrainingCase, patch_start, take_patch, wants_foreground
from FlareMRCore.training.pool_losses import GROUP, pool_objectives, validation_loss
from FlareMRCore.training.pool_parameters import (
    UNLABELED,
    VALIDATION,
    PoolTrainingParameters,
)
from FlareMRCore.training.trainer import (
    Batch,
    Objective,
    ParameterGroup,
    TrainingState,
    TrainingTask,
    train,
)

VALIDATION_SEED = 3
"""Keeps the patches of the validation apart from those that are learned from."""

Pools = Mapping[str, tuple[TrainingCase, ...]]


def train_pools(
    pools: Pools,
    parameters: PoolTrainingParameters,
    folder: Path,
    *,
    reporter: Reporter,
    device: torch.device,
    initial: State | None = None,
) -> Path:
    """Train and return the path of the exported weights, `folder`/weights.pt.

    A checkpoint in `folder` is continued, to the bit. Started by torchrun, processes share batches.

    Args:
        pools: cases by name of pool; labels of pool "unlabeled" are not looked at, and nothing
            is learned from pool "validation".
        parameters: see `PoolTrainingParameters`.
        folder: receives checkpoint.pt, curve.csv, curve.png and weights.pt.
        reporter: told of each step; cancelling saves a checkpoint first.
        device: where the network runs.
        initial: weights to start from; None for random ones.

    Raises:
        UsageError: a pool of the composition has no cases, or the checkpoint belongs to other
            parameters.
        WeightsError: the loss is no longer finite; the batch is kept beside the checkpoint.
    """
    with process_group(device) as processes:
        task = _task(pools, parameters, processes, initial)
        state = train(task, parameters.trainer, folder, reporter=reporter, processes=processes)
        if processes.is_writer:
            export_state(folder / "weights.pt", state, parameters.builder)
    return folder / "weights.pt"


def _task(
    pools: Pools,
    parameters: PoolTrainingParameters,
    processes: Processes,
    initial: State | None,
) -> TrainingTask:
    seed = parameters.trainer.seed
    torch.manual_seed(seed)
    network = build_network(parameters.builder)
    if initial is not None:
        network.load_state_dict(initial)
    freeze(network, parameters.frozen)
    sizes = {name: len(cases) for name, cases in pools.items()}
    counts = tuple((p, len(processes.share(n))) for p, n in parameters.composition.shares)

    def draw(step: int) -> Batch:
        items = draw_items(parameters.composition, sizes, processes, seed=seed, step=step)
        drawn = [_item(pools, item, parameters, processes.device) for item in items]
        names = ("image", "labels", "known")
        tensors = dict(zip(names, map(torch.stack, zip(*drawn, strict=True)), strict=True))
        return Batch(tensors, tuple(pools[item.pool][item.case].case_id for item in items))

    def objectives(batch: Batch, state: TrainingState) -> Iterator[Objective]:
        return pool_objectives(batch, state, parameters, counts)

    groups = {GROUP: ParameterGroup(parameters.optimization)}
    held_out = pools.get(VALIDATION, ())
    return TrainingTask(
        network.to(processes.device),
        groups,
        draw,
        objectives,
        repr(parameters),
        validate=partial(_validation_loss, held_out, parameters, processes.device)
        if held_out
        else None,
    )


def _item(
    pools: Pools, item: ItemDraw, parameters: PoolTrainingParameters, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Image (1, ...), labels (branches, ...) and annotated classes of one augmented patch."""
    rng = np.random.default_rng(item.seed)
    case = pools[item.pool][item.case]
    count = dict(parameters.composition.shares)[item.pool]
    is_labeled = item.pool != UNLABELED
    foreground = is_labeled and wants_foreground(
        item.number, count, parameters.foreground_share, rng
    )
    image, labels = _patch(case, parameters, rng, foreground=foreground, labeled=is_labeled)
    augmentation = draw_augmentation(augmentation_named(parameters.augmentation), rng)
    changed, moved = apply_augmentation(
        torch.from_numpy(image).to(device)[None],
        torch.from_numpy(labels).to(device).long(),
        augmentation,
    )
    return changed, moved, _known(case, parameters).to(device)


def _patch(
    case: TrainingCase,
    parameters: PoolTrainingParameters,
    rng: Generator,
    *,
    foreground: bool,
    labeled: bool,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image (...) and labels (branches, ...) of a random patch; 255 without labels."""
    shape = parameters.patch_shape
    # A 2-D network sees a slice of a volume: a patch of one voxel along K.
    seen = (1,) * (case.image.ndim - len(shape)) + shape
    start = patch_start(case, seen, rng, foreground=foreground)
    fill = float(case.image.min()) if case.fill is None else case.fill
    image = take_patch(case.image, start, seen, fill=fill).reshape(shape).astype(np.float32)
    if not labeled or case.labels is None:
        branches = max(1, len(parameters.branch_classes))
        return image, np.full((branches, *shape), IGNORE, dtype=np.uint8)
    labels = take_patch(case.labels, start, seen, fill=0)
    return image, labels.reshape(len(labels), *shape)


def _validation_loss(
    cases: tuple[TrainingCase, ...],
    parameters: PoolTrainingParameters,
    device: torch.device,
    state: TrainingState,
) -> float:
    """Mean Dice loss over the patches of the cases, with the weights that would be exported."""
    losses = []
    state.network.eval()
    try:
        for number, case in enumerate(cases):
            for turn in range(parameters.validation_patches):
                rng = np.random.default_rng(
                    [parameters.trainer.seed, VALIDATION_SEED, number, turn]
                )
                image, labels = _patch(case, parameters, rng, foreground=True, labeled=True)
                tensors = {
                    "image": torch.from_numpy(image)[None, None].to(device),
                    "labels": torch.from_numpy(labels)[None].to(device).long(),
                    "known": _known(case, parameters)[None].to(device),
                }
                batch = Batch(tensors, (case.case_id,))
                losses.append(validation_loss(batch, state, parameters))
    finally:
        state.network.train()
    return float(np.mean(losses))


def _known(case: TrainingCase, parameters: PoolTrainingParameters) -> Tensor:
    """Annotated classes of all branches; the background of each always counts."""
    if case.known is None:
        return torch.ones(network_entry(parameters.builder).classes, dtype=torch.bool)
    known = torch.from_numpy(case.known.copy())
    first = 0
    for count in parameters.branch_classes or (len(known),):
        known[first] = True
        first += count
    return known
