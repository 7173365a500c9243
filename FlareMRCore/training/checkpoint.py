"""Checkpoints: everything a training run needs to go on as if it had never stopped."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from FlareMRCore.errors import WeightsError, reason_of

State = dict[str, Tensor]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` beside `path`, flush it to disk and rename: a kill leaves the old file."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint; only tensors and plain values are accepted.

    Raises:
        WeightsError: the file is not such a checkpoint.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(
            f"'{path}' cannot be read ({reason_of(error)}).",
            code="weights.checkpoint",
            hint="Check the path.",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.PickleError) as error:
        # What torch says here advises to load the file without its protection.
        raise WeightsError(
            f"'{path}' is no checkpoint of FlareMR, or is damaged.",
            code="weights.checkpoint",
            hint="Give the weights.pt or checkpoint.pt that a training wrote.",
        ) from error
    return content


def update_average(average: State, network: nn.Module, decay: float) -> None:
    """Exponential moving average of what `average` holds, in place; counters are copied."""
    state = network.state_dict()
    with torch.no_grad():
        for name, value in average.items():
            if value.is_floating_point():
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])


def export_state(path: Path, state: State, builder: str) -> None:
    """Write inference weights as float16, the format that `load_model` reads."""
    halved = {name: value.detach().to("cpu", torch.float16) for name, value in state.items()}
    save_checkpoint(path, {"builder": builder, "state_dict": halved})
