"""The one training loop: supervised, with a teacher, or against discriminators.

A task says what a batch is and yields its losses one after the other; after each of them the
trainer updates the parameters that loss belongs to. N steps, a stop, and N more give the same
bits as 2N steps (on graphics cards: as far as their kernels are deterministic).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from FlareMRCore.errors import Cancelled, UsageError, WeightsError
from FlareMRCore.progress import Reporter
from FlareMRCore.training.checkpoint import (
    State,
    load_checkpoint,
    save_checkpoint,
    update_average,
)
from FlareMRCore.training.curves import CurveLog, curve_log
from FlareMRCore.training.distributed import (
    Processes,
    any_process,
    average_gradients,
    broadcast_state,
    gather_values,
    mean_over_processes,
)
from FlareMRCore.training.drawing_ahead import drawn_ahead, usual_workers
from FlareMRCore.training.learning_parameters import TrainerParameters
from FlareMRCore.training.mean_teacher import average_decay, averaged_names
from FlareMRCore.training.optimizers import build_optimizer
from FlareMRCore.training.random_states import (
    random_states,
    random_states_kept,
    restore_random_states,
)
from FlareMRCore.training.schedules import rate_factor
from FlareMRCore.training.training_task import (
    Batch,
    Objective,
    ParameterGroup,
    TrainingState,
    TrainingTask,
)

__all__ = ["Batch", "Objective", "ParameterGroup", "TrainingState", "TrainingTask", "train"]

CHECKPOINT_NAME = "checkpoint.pt"
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train(
    task: TrainingTask,
    parameters: TrainerParameters,
    folder: Path,
    *,
    reporter: Reporter,
    processes: Processes,
) -> State:
    """Train, or continue the training in `folder`; returns the state to export.

    That is the network's state, averaged as `parameters.averaging` says, at the end or where
    validation was best. The writing process leaves checkpoint.pt, curve.csv and curve.png in
    `folder`.

    Raises:
        UsageError: the checkpoint belongs to another training, or batches should be accumulated
            for several optimizers.
        WeightsError: a loss is no longer finite; the batch is kept, the checkpoint is the last
            good one.
        Cancelled: the user asked to stop; the checkpoint is of this moment.
    """
    if parameters.accumulate > 1 and len(task.groups) > 1:
        raise UsageError("Batches are accumulated for one optimizer only.", code="usage.accumulate")
    folder.mkdir(parents=True, exist_ok=True)
    state = _start(task, parameters, folder, reporter=reporter, processes=processes)
    workers = usual_workers(processes.device, processes.count)
    end = parameters.steps * parameters.accumulate
    with (
        curve_log(folder, state.step, writes=processes.is_writer) as log,
        drawn_ahead(task.draw, workers, end=end) as draw,
    ):
        while state.step < parameters.steps and not _is_stale(state, parameters):
            _stop_if_asked(state, task, folder, parameters, reporter=reporter, processes=processes)
            started = time.perf_counter()
            first = state.step * parameters.accumulate
            batches = [draw(first + number) for number in range(parameters.accumulate)]
            row = _step(state, batches, task, parameters, folder=folder, processes=processes)
            row |= _validated(state, task, parameters)
            if log is not None:
                seconds = time.perf_counter() - started
                names = " ".join(name for batch in batches for name in batch.case_ids)
                log.add({**row, "case": names, "seconds": round(seconds, 3)})
            if state.step % parameters.checkpoint_every == 0:
                _save(state, task, folder, processes, log)
        _save(state, task, folder, processes, log)
    return state.selection.state or state.exported()


def _is_stale(state: TrainingState, parameters: TrainerParameters) -> bool:
    return 0 < parameters.patience <= state.selection.stale


def _validated(
    state: TrainingState, task: TrainingTask, parameters: TrainerParameters
) -> dict[str, float | int | str]:
    """Column of the curve for the validation, empty where there was none after this step."""
    if task.validate is None or not parameters.validate_every:
        return {}
    if state.step % parameters.validate_every and state.step < parameters.steps:
        return {"validation": ""}
    with random_states_kept():
        value = task.validate(state)
    state.selection.consider(value, state.step, state.exported())
    return {"validation": value}


def _step(
    state: TrainingState,
    batches: list[Batch],
    task: TrainingTask,
    parameters: TrainerParameters,
    *,
    folder: Path,
    processes: Processes,
) -> dict[str, float | int | str]:
    """Update all groups once; returns the row of the curve."""
    row: dict[str, float | int | str] = {"step": state.step + 1, "loss": 0.0}
    for number, batch in enumerate(batches):
        turn = _Turn(folder, 1 / len(batches), number == 0, number == len(batches) - 1)
        for name, value in _learn(
            state, batch, task, parameters, turn=turn, processes=processes
        ).items():
            known = float(row.get(name, 0.0))
            row[name] = value if name == "rate" else known + value * turn.share
    state.scaler.update()
    state.step += 1
    if state.average:
        update_average(
            state.average, state.network, average_decay(parameters.averaging, state.step)
        )
    if len(task.groups) == 1:
        row.pop(next(iter(task.groups)), None)
    return row


@dataclass(frozen=True, slots=True)
class _Turn:
    """Place of a batch among those of its step, and the folder of the training."""

    folder: Path
    share: float
    is_first: bool
    is_last: bool


def _learn(
    state: TrainingState,
    batch: Batch,
    task: TrainingTask,
    parameters: TrainerParameters,
    *,
    turn: _Turn,
    processes: Processes,
) -> dict[str, float]:
    """Gradients of a batch, and the update if it is the last of its step; losses by name."""
    row: dict[str, float] = {}
    precision = PRECISIONS.get(parameters.precision, torch.float32)
    amp = torch.autocast(
        processes.device.type, precision, enabled=parameters.precision != "float32"
    )
    objectives = task.objectives(batch, state)
    total, rate = 0.0, 0.0
    while True:
        with amp:
            objective = next(objectives, None)
        if objective is None:
            break
        loss = mean_over_processes(objective.loss.item(), processes.device)
        _require_finite(loss, batch, turn.folder, processes)
        rate = _update(state, objective, task.groups[objective.group], parameters, turn)
        total += loss
        row[objective.group] = loss
        row.update({name: term.item() for name, term in objective.terms.items()})
    return {**row, "loss": total, "rate": rate}


def _update(
    state: TrainingState,
    objective: Objective,
    group: ParameterGroup,
    parameters: TrainerParameters,
    turn: _Turn,
) -> float:
    """Add to the gradients of a group and, in the last turn, update it; the learning rate."""
    optimizer, optimization = state.optimizers[objective.group], group.optimization
    factor = rate_factor(optimization.schedule, state.step, parameters.steps)
    for entry in optimizer.param_groups:
        entry["lr"] = optimization.learning_rate * factor
    if turn.is_first:
        optimizer.zero_grad(set_to_none=True)
    loss = objective.loss if turn.share == 1 else objective.loss * turn.share
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # as in torch
    if not turn.is_last:
        return optimization.learning_rate * factor
    own = [parameter for entry in optimizer.param_groups for parameter in entry["params"]]
    average_gradients(own)
    if optimization.clip_norm:
        state.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(own, optimization.clip_norm)
    state.scaler.step(optimizer)
    return optimization.learning_rate * factor


def _start(
    task: TrainingTask,
    parameters: TrainerParameters,
    folder: Path,
    *,
    reporter: Reporter,
    processes: Processes,
) -> TrainingState:
    """State of a new training, or of the checkpoint in `folder`."""
    network = task.network.train()
    broadcast_state(network.state_dict())
    named = dict(network.named_parameters())
    optimizers = {
        name: build_optimizer(
            {key: value for key, value in named.items() if key.startswith(group.prefixes)},
            group.optimization,
        )
        for name, group in task.groups.items()
    }
    content = network.state_dict()
    names = averaged_names(network, parameters.averaging)
    average = {name: content[name].detach().clone() for name in names}
    scaler = torch.amp.GradScaler(processes.device.type, enabled=parameters.precision == "float16")
    state = TrainingState(network, optimizers, scaler, average, task.memory)
    if processes.rank:
        torch.manual_seed(parameters.seed + 1_000_003 * processes.rank)
    checkpoint = folder / CHECKPOINT_NAME
    if checkpoint.exists():
        _restore(state, task, load_checkpoint(checkpoint), reporter, processes)
    return state


def _restore(
    state: TrainingState,
    task: TrainingTask,
    content: dict[str, Any],
    reporter: Reporter,
    processes: Processes,
) -> None:
    if content["parameters"] != task.identity:
        raise UsageError(
            "The checkpoint was made with other parameters: "
            f"{content['parameters']}, now {task.identity}.",
            code="usage.checkpoint",
            hint="Use another output folder or the old parameters.",
        )
    # Older checkpoints have one optimizer, and no generators because nothing drew from them.
    single = {name: content["optimizer"] for name in task.groups if "optimizer" in content}
    state.network.load_state_dict(content["network"])
    for name, optimizer in state.optimizers.items():
        optimizer.load_state_dict(content.get("optimizers", single)[name])
    state.scaler.load_state_dict(content.get("scaler", {}))
    for name, value in content["average"].items():
        state.average[name] = value.to(processes.device)
    state.step = content["step"]
    state.selection.restore(content.get("selection", {}))
    saved = content.get("processes")
    if saved is None:
        return
    if len(saved) != processes.count:
        reporter.message(
            f"The checkpoint was made by {len(saved)} processes, now there are {processes.count}: "
            "the training continues, but not with the random numbers it would have drawn.",
            level="warning",
        )
        return
    own = saved[processes.rank]
    restore_random_states(own["random"])
    state.memory.update({name: value.to(processes.device) for name, value in own["memory"].items()})


def _save(
    state: TrainingState,
    task: TrainingTask,
    folder: Path,
    processes: Processes,
    log: CurveLog | None,
) -> None:
    """Write the checkpoint and the picture of the curve."""
    own = {"random": random_states(), "memory": dict(state.memory)}
    everybody = gather_values(own)
    if not processes.is_writer:
        return
    content = {
        "parameters": task.identity,
        "network": state.network.state_dict(),
        "optimizers": {name: value.state_dict() for name, value in state.optimizers.items()},
        "scaler": state.scaler.state_dict(),
        "average": state.average,
        "step": state.step,
        "selection": state.selection.content() if state.selection.step else {},
        "processes": everybody,
    }
    save_checkpoint(folder / CHECKPOINT_NAME, content)
    if log is not None:
        log.draw()


def _stop_if_asked(
    state: TrainingState,
    task: TrainingTask,
    folder: Path,
    parameters: TrainerParameters,
    *,
    reporter: Reporter,
    processes: Processes,
) -> None:
    """Save and stop if the user asked any of the processes to; between steps only."""
    asked = False
    try:
        reporter.advance("train", state.step, parameters.steps)
    except Cancelled:
        asked = True
    if any_process(asked, processes.device):
        _save(state, task, folder, processes, None)
        raise Cancelled


def _require_finite(loss: float, batch: Batch, folder: Path, processes: Processes) -> None:
    if math.isfinite(loss):
        return
    suffix = f"-{processes.rank}" if processes.rank else ""
    kept = folder / f"not-finite{suffix}.pt"
    save_checkpoint(kept, {**batch.tensors, "case_ids": list(batch.case_ids)})
    raise WeightsError(
        f"The loss became {loss} on a batch of {', '.join(batch.case_ids)}, kept in {kept}.",
        code="training.not-finite",
        hint="Lower the learning rate, or look at that batch.",
    )
