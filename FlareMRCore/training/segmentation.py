"""Supervised training on packs: random contrasts, partial labels, one network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from FlareMRCore.inference.device import pick_device
from FlareMRCore.networks.builders import build_network
from FlareMRCore.progress import Reporter
from FlareMRCore.training.checkpoint import State, export_state
from FlareMRCore.training.distributed import Processes, process_group
from FlareMRCore.training.learning_parameters import Averaging, Optimization, TrainerParameters
from FlareMRCore.training.losses import marginal_dice_ce
from FlareMRCore.training.pack import PackedCase
from FlareMRCore.training.parameters import TrainingParameters
from FlareMRCore.training.sampling import draw_sample
from FlareMRCore.training.schedules import Schedule, rate_factor
from FlareMRCore.training.trainer import (
    Batch,
    Objective,
    ParameterGroup,
    TrainingState,
    TrainingTask,
    train,
)

GROUP = "network"


def train_segmentation(
    cases: tuple[PackedCase, ...],
    parameters: TrainingParameters,
    folder: Path,
    *,
    reporter: Reporter,
    device: torch.device,
    initial: State | None = None,
) -> Path:
    """Train and return the path of the exported weights, `folder`/weights.pt.

    A checkpoint in `folder` is continued; with it, N steps and N more give the same weights as 2N.
    Started by torchrun, each process draws one sample per step.

    Args:
        cases: the training pack.
        parameters: see `TrainingParameters`.
        folder: receives checkpoint.pt, curve.csv, curve.png and weights.pt.
        reporter: told of each step; cancelling saves a checkpoint first.
        device: where the network runs.
        initial: weights to start from; None for random ones.

    Raises:
        UsageError: the checkpoint belongs to other parameters.
        WeightsError: the loss is no longer finite; the batch is kept beside the checkpoint.
    """
    with process_group(device) as processes:
        task = _task(cases, parameters, processes, initial)
        averaging = Averaging("gentle", parameters.average_decay)
        common = TrainerParameters(
            parameters.steps,
            parameters.seed,
            parameters.checkpoint_every,
            precision=parameters.precision,
            averaging=averaging,
        )
        state = train(task, common, folder, reporter=reporter, processes=processes)
        if processes.is_writer:
            export_state(folder / "weights.pt", state, parameters.builder)
    return folder / "weights.pt"


def training_device(name: str, *, threads: int | None = None) -> torch.device:
    """Device for `name` (auto, cpu, cuda, cuda:N, mps); sets the number of CPU threads if given.

    Raises:
        UsageError: there is no such device.
    """
    if threads:
        torch.set_num_threads(threads)
    return torch.device(pick_device(name).name)


def learning_rate(parameters: TrainingParameters, step: int) -> float:
    """Learning rate of `step`: linear warm-up, then linear decay to zero."""
    optimization = _optimization(parameters)
    factor = rate_factor(optimization.schedule, step, parameters.steps)
    return optimization.learning_rate * factor


def _optimization(parameters: TrainingParameters) -> Optimization:
    return Optimization(
        "adamw",
        parameters.learning_rate,
        parameters.weight_decay,
        betas=(0.9, 0.99),
        clip_norm=parameters.clip_norm,
        schedule=Schedule("linear", parameters.warmup_steps),
    )


def _task(
    cases: tuple[PackedCase, ...],
    parameters: TrainingParameters,
    processes: Processes,
    initial: State | None,
) -> TrainingTask:
    torch.manual_seed(parameters.seed)
    network = build_network(parameters.builder)
    if initial is not None:
        network.load_state_dict(initial)

    def draw(step: int) -> Batch:
        # The first process draws what a training with one process would.
        place = [parameters.seed, step] + [processes.rank] * (processes.rank > 0)
        sample = draw_sample(cases, parameters.sampling, np.random.default_rng(place))
        tensors = {"image": sample.image, "labels": sample.labels, "allowed": sample.allowed}
        on_device = {name: value.to(processes.device) for name, value in tensors.items()}
        return Batch(on_device, (sample.case_id,))

    return TrainingTask(
        network.to(processes.device),
        {GROUP: ParameterGroup(_optimization(parameters))},
        draw,
        _objectives,
        repr(parameters),
    )


def _objectives(batch: Batch, state: TrainingState) -> Iterator[Objective]:
    output = state.network(batch.tensors["image"][None])
    # Of networks that also answer at coarser levels, the finest answer alone is taught.
    logits = (output if isinstance(output, torch.Tensor) else output[0])[0]
    labels, allowed = batch.tensors["labels"], batch.tensors["allowed"]
    yield Objective(GROUP, marginal_dice_ce(logits, labels, allowed))
