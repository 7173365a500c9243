"""Cases as a translator sees them, and the translator that a stage has trained.

Labels of target cases are never read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.binding import bind_table
from FlareMRCore.data.geometry import Triple, nearest_axes
from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.imaging.orientation import reorient
from FlareMRCore.imaging.resampling import resample_to_spacing
from FlareMRCore.pipeline.case_labels import read_case_labels
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.training.translation_parameters import (
    CT_RANGE,
    MR_RANGE,
    TranslationImageRange,
    TranslationParameters,
)

if TYPE_CHECKING:
    from FlareMRCore.training.translator import Translator

PARAMETERS_NAME = "translator.json"


@dataclass(frozen=True, slots=True)
class TranslatorParameters:
    """How a translator is trained.

    Attributes:
        spacing_mm: along (K, J, I) after reorienting; slices of 2-D translators are (J, I).
        training: networks, losses and steps.
        orientation: directions of the axes (K, J, I).
        source_range: values of source images that become -1 and 1.
        target_range: the same of target images.
        label_margin_mm: of source cases only what lies this close to a labeled slice along K;
            None for all.
    """

    spacing_mm: Triple
    training: TranslationParameters
    orientation: str = "SAR"
    source_range: TranslationImageRange = CT_RANGE
    target_range: TranslationImageRange = MR_RANGE
    label_margin_mm: float | None = None


def read_translator(
    inputs: StageInputs, context: StageContext
) -> tuple[TranslatorParameters, Translator]:
    """How the translator of an input was trained, and the translator.

    Raises:
        DatasetError: its parameters are damaged.
        WeightsError: its weights are.
    """
    from FlareMRCore.training.segmentation import training_device
    from FlareMRCore.training.translation import TRANSLATOR_NAME
    from FlareMRCore.training.translator import load_translator

    (folder,) = inputs.folders["translator"]
    content = json.loads((folder / PARAMETERS_NAME).read_text(encoding="utf-8"))
    trained, problems = bind_table(content, TranslatorParameters)
    if trained is None:
        raise DatasetError(
            f"{folder / PARAMETERS_NAME} cannot be understood: {'; '.join(problems)}.",
            code="store.record",
            hint="Remove that artifact from the store and run the recipe again.",
        )
    device = training_device(context.device, threads=context.threads)
    return trained, load_translator(folder / TRANSLATOR_NAME, device)


def working_arrays(
    cases: tuple[RecipeCase, ...],
    domain: str,
    parameters: TranslatorParameters,
    context: StageContext,
) -> Iterator[NDArray[np.float32]]:
    """`working_array` of each case."""
    for number, case in enumerate(cases):
        context.reporter.advance(f"{domain} images", number, len(cases))
        yield working_array(case, domain, parameters)


def working_array(
    case: RecipeCase, domain: str, parameters: TranslatorParameters
) -> NDArray[np.float32]:
    """The case's first image as the translator sees it; of source cases the labeled part."""
    volume = working_volume(case, parameters)
    array = unit_array(volume, domain, parameters)
    if domain == "source" and parameters.label_margin_mm is not None and case.label_map:
        array = array[_labeled_slices(case, volume, parameters.label_margin_mm)]
    return array


def working_volume(case: RecipeCase, parameters: TranslatorParameters) -> Volume:
    """The case's first image, reoriented, at the translator's spacing, in its own unit."""
    volume = reorient(read_volume(case.image.path), parameters.orientation)
    return resample_to_spacing(volume, parameters.spacing_mm, antialias=True)


def unit_array(
    volume: Volume, domain: str, parameters: TranslatorParameters
) -> NDArray[np.float32]:
    """Intensities from -1 to 1 as the translator takes them from that domain."""
    from FlareMRCore.training.translator import to_unit_range

    limits = parameters.source_range if domain == "source" else parameters.target_range
    return to_unit_range(volume.array, limits)


def _labeled_slices(case: RecipeCase, volume: Volume, margin_mm: float) -> slice:
    """Slices of `volume` along K within the margin of the labels; all if there are none."""
    labels = read_case_labels(case)
    voxels = np.argwhere(labels.array > 0)
    if not len(voxels):
        return slice(None)
    order, _ = nearest_axes(volume.geometry.direction)
    axis = order[0]
    ends = labels.geometry.index_to_world(np.stack([voxels.min(0), voxels.max(0)]))
    low_mm, high_mm = ends[:, axis].min() - margin_mm, ends[:, axis].max() + margin_mm
    centers = np.zeros((volume.geometry.shape[0], 3))
    centers[:, 0] = np.arange(len(centers))
    places = volume.geometry.index_to_world(centers)[:, axis]
    inside = np.flatnonzero((places >= low_mm) & (places <= high_mm))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(None)
