"""From what a training on pools left behind to how the engine feeds the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.binding import bind_table
from FlareMRCore.data.geometry import Shape, Triple
from FlareMRCore.errors import UsageError
from FlareMRCore.networks.inputs import InputRules, input_rules
from FlareMRCore.training.feeding import Feeding
from FlareMRCore.training.model_folder import TrainedNetwork
from FlareMRCore.training.pool_preparation import PoolPreparation
from FlareMRCore.training.pool_targets import Target
from FlareMRCore.weights.registry import NetworkSpec

ROLES = {"foreground": "coarse", "tumor": "tumor"}
"""Role by target; everything else is the fine network."""


@dataclass(frozen=True, slots=True)
class PoolTraining:
    """What network.json of a training says.

    Attributes:
        builder: name of the network.
        patch_shape: of the training.
        preparation: with fitted intensities.
        target: what was learned.
        modalities: of the images.
    """

    builder: str
    patch_shape: tuple[int, ...]
    preparation: PoolPreparation
    target: Target
    modalities: tuple[str, ...]


def read_pool_training(path: Path) -> PoolTraining:
    """The content of a network.json.

    Raises:
        UsageError: it is damaged.
    """
    table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # Lists and null instead of tuples and missing keys.
    preparation = {k: v for k, v in table["preparation"].items() if v is not None}
    value, mistakes = bind_table({**table, "preparation": preparation}, PoolTraining)
    if value is None:
        raise UsageError(f"{path} is damaged: {'; '.join(mistakes)}.", code="usage.network-file")
    return value


def trained_network(weights: Path, training: PoolTraining, feeding: Feeding) -> TrainedNetwork:
    """The network with how the engine should feed it.

    Raises:
        UsageError: it was trained at the spacing of each image, and `feeding` names none.
    """
    rules = input_rules(training.builder)
    role = ROLES.get(training.target.name, "fine")
    preparation = training.preparation
    is_coarse = role == "coarse"
    spec = NetworkSpec(
        builder=training.builder,
        file="",
        spacing_mm=_spacing(preparation, feeding, training.builder),
        fixed_shape=preparation.fixed_shape or _shape(rules.only_shape),
        multiple_of=rules.multiple_of,
        organs=training.target.name in ("organs", "organs-and-tumor"),
        views=() if is_coarse else feeding.views,
        window_shape=_window(preparation, rules, training, feeding),
        margin_mm=0.0 if is_coarse else feeding.margin_mm or preparation.margin_mm,
        tumor=training.target.name in ("tumor", "organs-and-tumor"),
        labels_first=feeding.labels_first,
        normalization=preparation.normalization,
        ct_normalization=preparation.ct_normalization,
    )
    return TrainedNetwork(weights, role, spec)


def _spacing(preparation: PoolPreparation, feeding: Feeding, builder: str) -> Triple | None:
    if preparation.fixed_shape is not None:
        return None
    spacing = feeding.spacing_mm or preparation.spacing_mm
    if spacing is None or min(spacing) <= 0:
        raise UsageError(
            f"'{builder}' was trained at the images' own spacing: {spacing}.",
            code="usage.spacing",
            hint="Give feeding.spacing_mm to the stage that exports it.",
        )
    return spacing


def _window(
    preparation: PoolPreparation, rules: InputRules, training: PoolTraining, feeding: Feeding
) -> Shape | None:
    """Windows of the training's patches; slices and fixed shapes go through as a whole."""
    if preparation.fixed_shape is not None or len(training.patch_shape) != rules.axes:
        return None
    return feeding.window_shape or (_shape(training.patch_shape) if rules.axes == 3 else None)


def _shape(shape: tuple[int, ...] | None) -> Shape | None:
    if shape is None:
        return None
    k, j, i = shape
    return k, j, i
