"""Weights to start a training from: of the same network, or of a simpler one of the same trunk."""

from __future__ import annotations

from pathlib import Path

from FlareMRCore.errors import WeightsError
from FlareMRCore.networks.builders import build_network
from FlareMRCore.networks.subvoxel_unet import inflate_subvoxels, widen
from FlareMRCore.training.checkpoint import State, load_checkpoint

SUBVOXELS = 2
FOLDED = ("flaremr-coarse", "flaremr-fine")
"""Networks of one shape: the weights of either may start the other."""
WIDE = "flaremr-wide"


def initial_state(path: Path, builder: str) -> State:
    """State for the network `builder` from an exported weights file, as float32.

    Raises:
        WeightsError: the file is of a network that cannot start this one.
    """
    content = load_checkpoint(path)
    found = content.get("builder")
    state = {name: value.float() for name, value in content.get("state_dict", {}).items()}
    if found == builder or (found in FOLDED and builder in FOLDED):
        return state
    if found == "flaremr-base" and builder in FOLDED:
        return inflate_subvoxels(state, SUBVOXELS)
    if found in FOLDED and builder == WIDE:
        return widen(state, build_network(WIDE).state_dict())
    raise WeightsError(
        f"{path} holds weights of '{found}', which cannot start '{builder}'.",
        code="weights.initial",
        hint=f"Give weights of '{builder}'; 'flaremr-base' may start 'flaremr-coarse', and that "
        "one 'flaremr-fine' and 'flaremr-wide'.",
    )
