"""What a training step of a translator costs: parameters, arithmetic, memory, and measured time."""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from FlareMRCore.inference.device import pick_device
from FlareMRCore.inference.system_memory import available_memory_bytes
from FlareMRCore.networks.count import count_parameters
from FlareMRCore.training.probe import BYTES_PER_PARAMETER, MB, TrainingCost, kept_bytes
from FlareMRCore.training.trainer import Batch, TrainingState
from FlareMRCore.training.translation import DOMAINS, translation_networks
from FlareMRCore.training.translation_losses import translation_objectives
from FlareMRCore.training.translation_parameters import TranslationParameters


def translation_cost(parameters: TranslationParameters) -> TrainingCost:
    """Cost of all losses of one image of each domain; nothing is computed, no memory is used.

    The parameters are those of translators and discriminators together.
    """

    def run() -> None:
        _losses(_state(parameters, torch.device("meta")), parameters, torch.device("meta"))

    counter = FlopCounterMode(display=False)
    with counter:
        run()
    with torch.device("meta"):
        count = count_parameters(translation_networks(parameters))
    memory = count * BYTES_PER_PARAMETER + kept_bytes(run)
    return TrainingCost(count, counter.get_total_flops() / 2e9, memory / MB)


def translation_step_seconds(
    parameters: TranslationParameters, *, device: str = "auto"
) -> float | None:
    """Measured time of one step with one image of each domain; None if memory does not suffice."""
    chosen = torch.device(pick_device(device).name)
    needed = translation_cost(parameters).memory_mb * MB
    if chosen.type == "cpu" and needed > available_memory_bytes():
        return None
    state = _state(parameters, chosen)
    _losses(state, parameters, chosen, backward=True)
    started = time.perf_counter()
    _losses(state, parameters, chosen, backward=True)
    return time.perf_counter() - started


def _state(parameters: TranslationParameters, device: torch.device) -> TrainingState:
    with device:
        networks: nn.Module = translation_networks(parameters).train()
    return TrainingState(networks, {}, torch.amp.GradScaler("cpu", enabled=False), {}, {})


def _losses(
    state: TrainingState,
    parameters: TranslationParameters,
    device: torch.device,
    *,
    backward: bool = False,
) -> None:
    shape = (1, 1, *parameters.patch_shape)
    batch = Batch({d: torch.rand(shape, device=device) * 2 - 1 for d in DOMAINS}, DOMAINS)
    for objective in translation_objectives(batch, state, parameters):
        if backward:
            objective.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            float(objective.loss.detach())  # waits for the device
