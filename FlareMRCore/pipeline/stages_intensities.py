"""Stages that change what the numbers of an image mean: windows and edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.imaging.sobel import edge_image
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs


@dataclass(frozen=True, slots=True)
class WindowParameters:
    """Which CT numbers are told apart; MR stays as it is."""

    low_hu: float = -160.0
    high_hu: float = 240.0


@dataclass(frozen=True, slots=True)
class SobelParameters:
    """Nothing to choose: see `FlareMRCore.imaging.sobel.edge_image`."""


def window(
    inputs: StageInputs, parameters: WindowParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with CT cut to a window of intensities.

    Source: Yao et al., DAR-UNet; the window of soft tissue is our choice where a paper has none.
    """
    case = inputs.case()
    if case.modality != "CT":
        return (case,)
    low, high = np.float32(parameters.low_hu), np.float32(parameters.high_hu)
    return (
        _with_images(
            case,
            {name: _clipped(volume, low, high) for name, volume in _volumes(case)},
            context,
        ),
    )


def sobel(
    inputs: StageInputs, parameters: SobelParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the edges of its images, -1 to 1, in their place."""
    case = inputs.case()
    edges = {name: edge_image(volume, case.modality) for name, volume in _volumes(case)}
    return (_with_images(case, edges, context),)


def _volumes(case: RecipeCase) -> Iterator[tuple[str, Volume]]:
    return ((name, read_volume(file.path)) for name, file in case.images.items())


def _clipped(volume: Volume, low: np.float32, high: np.float32) -> Volume:
    return Volume(np.clip(volume.array, low, high), volume.geometry)


def _with_images(
    case: RecipeCase, volumes: Mapping[str, Volume], context: StageContext
) -> RecipeCase:
    for name, volume in volumes.items():
        write_volume(context.folder / f"{name}.nii.gz", volume)
    return replace(case, images={name: context.own_file(f"{name}.nii.gz") for name in volumes})


INTENSITY_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "window": Stage(1, WindowParameters, window, CASES, {"cases": Slot(CASES)}, CASE),
        "sobel": Stage(1, SobelParameters, sobel, CASES, {"cases": Slot(CASES)}, CASE),
    }
)
