"""Weights to start a training from: of the same network, or of the coarse one for the fine."""

from __future__ import annotations

from pathlib import Path

from FlareMRCore.errors import WeightsError
from FlareMRCore.networks.subvoxel_unet import inflate_subvoxels
from FlareMRCore.training.checkpoint import State, load_checkpoint

FINE_SUBVOXELS = 2


def initial_state(path: Path, builder: str) -> State:
    """State for the network `builder` from an exported weights file, as float32.

    Raises:
        WeightsError: the file is of a network that cannot start this one.
    """
    content = load_checkpoint(path)
    found = content.get("builder")
    state = {name: value.float() for name, value in content.get("state_dict", {}).items()}
    if found == builder:
        return state
    if found == "flaremr-coarse" and builder == "flaremr-fine":
        return inflate_subvoxels(state, FINE_SUBVOXELS)
    raise WeightsError(
        f"{path} holds weights of '{found}', which cannot start '{builder}'.",
        code="weights.initial",
        hint=f"Give weights of '{builder}', or of 'flaremr-coarse' to start 'flaremr-fine'.",
    )
