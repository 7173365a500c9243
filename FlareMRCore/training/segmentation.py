"""The supervised training loop: one network, one loop, resumable to the bit."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from FlareMRCore.errors import UsageError, WeightsError
from FlareMRCore.inference.device import pick_device
from FlareMRCore.networks.builders import build_network
from FlareMRCore.progress import Reporter
from FlareMRCore.training.checkpoint import (
    State,
    export_state,
    load_checkpoint,
    save_checkpoint,
    update_average,
)
from FlareMRCore.training.losses import marginal_dice_ce
from FlareMRCore.training.pack import PackedCase
from FlareMRCore.training.parameters import TrainingParameters
from FlareMRCore.training.sampling import Sample, draw_sample


@dataclass(slots=True)
class TrainingState:
    """What changes during training."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: State
    step: int = 0


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

    Args:
        cases: the training pack.
        parameters: see `TrainingParameters`.
        folder: receives checkpoint.pt, curve.csv and weights.pt.
        reporter: told of each step; cancelling saves a checkpoint first.
        device: where the network runs.
        initial: weights to start from; None for random ones.

    Raises:
        UsageError: the checkpoint belongs to other parameters.
        WeightsError: the loss is no longer finite; the batch is kept beside the checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _start(parameters, folder, device, initial)
    try:
        while state.step < parameters.steps:
            reporter.advance("train", state.step, parameters.steps)
            started = time.perf_counter()
            sample = draw_sample(cases, parameters.sampling, _step_rng(parameters, state.step))
            loss = _step(state, sample, parameters, device)
            _require_finite(loss, sample, folder)
            _log(folder, state.step, loss, sample.case_id, time.perf_counter() - started)
            if state.step % parameters.checkpoint_every == 0:
                _save(state, parameters, folder)
    finally:
        _save(state, parameters, folder)
    export_state(folder / "weights.pt", state.average, parameters.builder)
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
    warm = min(1.0, (step + 1) / max(1, parameters.warmup_steps))
    remaining = 1 - step / parameters.steps
    return parameters.learning_rate * min(warm, remaining)


def _step_rng(parameters: TrainingParameters, step: int) -> np.random.Generator:
    return np.random.default_rng([parameters.seed, step])


def _step(
    state: TrainingState, sample: Sample, parameters: TrainingParameters, device: torch.device
) -> float:
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(parameters, state.step)
    logits = state.network(sample.image[None].to(device))[0]
    loss: Tensor = marginal_dice_ce(logits, sample.labels.to(device), sample.allowed.to(device))
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), parameters.clip_norm)
    state.optimizer.step()
    state.step += 1
    decay = min(parameters.average_decay, state.step / (state.step + 10))
    update_average(state.average, state.network, decay)
    return float(loss.detach())


def _start(
    parameters: TrainingParameters, folder: Path, device: torch.device, initial: State | None
) -> TrainingState:
    torch.manual_seed(parameters.seed)
    network = build_network(parameters.builder)
    if initial is not None:
        network.load_state_dict(initial)
    network.to(device).train()
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=parameters.learning_rate,
        weight_decay=parameters.weight_decay,
        betas=(0.9, 0.99),
    )
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    state = TrainingState(network, optimizer, average)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        _restore(state, parameters, load_checkpoint(checkpoint), device)
    return state


def _restore(
    state: TrainingState,
    parameters: TrainingParameters,
    content: dict[str, Any],
    device: torch.device,
) -> None:
    if content["parameters"] != repr(parameters):
        raise UsageError(
            "The checkpoint was made with other parameters: "
            f"{content['parameters']}, now {parameters!r}.",
            code="usage.checkpoint",
            hint="Use another output folder or the old parameters.",
        )
    state.network.load_state_dict(content["network"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.average = {name: value.to(device) for name, value in content["average"].items()}
    state.step = content["step"]


def _save(state: TrainingState, parameters: TrainingParameters, folder: Path) -> None:
    content = {
        "parameters": repr(parameters),
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
    }
    save_checkpoint(folder / "checkpoint.pt", content)


def _require_finite(loss: float, sample: Sample, folder: Path) -> None:
    if np.isfinite(loss):
        return
    kept = folder / "not-finite.pt"
    save_checkpoint(kept, {"image": sample.image, "labels": sample.labels})
    raise WeightsError(
        f"The loss became {loss} on a sample of case {sample.case_id}, kept in {kept}.",
        code="training.not-finite",
        hint="Lower the learning rate, or look at that sample.",
    )


def _log(folder: Path, step: int, loss: float, case_id: str, seconds: float) -> None:
    path = folder / "curve.csv"
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["step", "loss", "case", "seconds"])
        writer.writerow([step, f"{loss:.5f}", case_id, f"{seconds:.3f}"])


def parameters_record(parameters: TrainingParameters) -> dict[str, Any]:
    """The parameters as plain values, for model cards."""
    return asdict(parameters)
