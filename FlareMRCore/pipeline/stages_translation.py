"""Stages that train translators between the two domains and apply them.

Labels of target cases are never read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import RecipeError
from FlareMRCore.imaging.resampling import resample_to
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import (
    CASE,
    CASES,
    STYLES,
    TRANSLATOR,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    TrainingPlan,
)
from FlareMRCore.pipeline.stages_training import keep_training
from FlareMRCore.pipeline.translator_inputs import (
    PARAMETERS_NAME,
    TranslatorParameters,
    read_translator,
    unit_array,
    working_array,
    working_arrays,
    working_volume,
)

STYLES_NAME = "styles.json"
FAKE = "fake"
"""Name of a translated image, in place of a sequence."""
MIDDLE_SHARE = 2 / 3
"""Of the slices of a volume whose styles are clustered. Source: Kaiseem/DAR-UNet."""


@dataclass(frozen=True, slots=True)
class StyleParameters:
    """Which styles there are to choose from.

    Attributes:
        clusters: centers of so many clusters of the styles of the middle two thirds of all
            slices; 0 takes the style of the middle slice of each case.
        seed: of the clustering.
    """

    clusters: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TranslateParameters:
    """How cases are translated.

    Attributes:
        to: domain whose look they get.
        styles_per_case: images made of each case, each in a style of its own (DARNet).
        seed: of the choice of styles.
        window_vox: patch of 3-D translators (K, J, I).
        stride_vox: from patch to patch.
        low: intensity that the translator's -1 is written as.
        high: intensity of its 1.
    """

    to: Literal["target", "source"] = "target"
    styles_per_case: int = 1
    seed: int = 0
    window_vox: tuple[int, int, int] = (48, 160, 160)
    stride_vox: tuple[int, int, int] = (32, 32, 32)
    low: float = 0.0
    high: float = 1000.0


def train_translator(
    inputs: StageInputs, parameters: TranslatorParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """translator.pt and the parameters; the curve is a note. Continues from ``context.work``."""
    from FlareMRCore.training.segmentation import training_device
    from FlareMRCore.training.translation import train_translation
    from FlareMRCore.training.translation_images import stored_images

    axes = len(parameters.training.patch_shape)
    images = {
        domain: stored_images(
            working_arrays(inputs.cases[domain], domain, parameters, context),
            context.work / f"{domain}.raw",
            axes=axes,
        )
        for domain in ("source", "target")
    }
    path = train_translation(
        images,
        parameters.training,
        context.work,
        reporter=context.reporter,
        device=training_device(context.device, threads=context.threads),
    )
    keep_training(path, context, PARAMETERS_NAME, asdict(parameters))
    return ()


def translation_plan(parameters: TranslatorParameters) -> TrainingPlan:
    """Family, patch and steps."""
    training = parameters.training
    return TrainingPlan(
        training.family,
        training.patch_shape,
        training.trainer.steps,
        training.batch_size,
        translation=training,
    )


def collect_styles(
    inputs: StageInputs, parameters: StyleParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """styles.json: names and codes of styles that translated cases may take.

    Source: Li et al., FLARE 2024 task 3 (middle slice of a random volume); Yao et al., DAR-UNet
        (clusters).
    """
    from scipy.cluster.vq import kmeans2

    from FlareMRCore.training.translator import style_codes

    trained, translator = read_translator(inputs, context)
    codes, names = [], []
    for number, case in enumerate(inputs.cases["cases"]):
        context.reporter.advance("styles", number, len(inputs.cases["cases"]))
        array = working_array(case, "target", trained)
        slices = _middle_slices(array, MIDDLE_SHARE if parameters.clusters else 0.0)
        codes.append(style_codes(translator, slices, "target"))
        names.append(case.case_id)
    found = np.concatenate(codes)
    if parameters.clusters:
        found, _ = kmeans2(found, parameters.clusters, minit="++", rng=parameters.seed)
        names = [f"cluster{n}" for n in range(parameters.clusters)]
    content = {name: [round(float(v), 6) for v in c] for name, c in zip(names, found, strict=True)}
    write_json_atomically(context.folder / STYLES_NAME, content)
    return ()


def translate_style(
    inputs: StageInputs, parameters: TranslateParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case as the other domain would show it, on its own grid, with the labels it had.

    A source case becomes one of domain "synthetic"; a target case stays one, so that its manual
    labels stay forbidden.
    """
    from FlareMRCore.training.translator import translate_volume

    case = inputs.case()
    trained, translator = read_translator(inputs, context)
    origin = "source" if parameters.to == "target" else "target"
    working = working_volume(case, trained)
    array = unit_array(working, origin, trained)
    grid = read_volume(case.image.path).geometry
    made = []
    for name, style in _chosen_styles(case, inputs, parameters):
        fake = translate_volume(
            translator,
            array,
            to=parameters.to,
            style=style,
            window=parameters.window_vox,
            stride=parameters.stride_vox,
        )
        values = parameters.low + (fake + 1) / 2 * (parameters.high - parameters.low)
        volume = Volume(values.astype(np.float32), working.geometry)
        write_volume(context.folder / name, resample_to(volume, grid, fill=parameters.low))
        made.append(_fake_case(case, name, parameters, context))
    return tuple(made)


def _chosen_styles(
    case: RecipeCase, inputs: StageInputs, parameters: TranslateParameters
) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
    """File name and style code of each image to make; no code for a translator without styles."""
    folder = inputs.folder("styles")
    if folder is None:
        yield f"{FAKE}.nii.gz", None
        return
    styles = json.loads((folder / STYLES_NAME).read_text(encoding="utf-8"))
    count = parameters.styles_per_case
    if count > len(styles):
        raise RecipeError(
            f"{count} styles per case are asked for, and there are {len(styles)}.",
            code="recipe.styles",
            hint="Raise 'clusters' of the stage that collects styles, or ask for fewer.",
        )
    # The choice depends on the case alone, not on how many come before it.
    rng = np.random.default_rng([parameters.seed, *case.case_id.encode()])
    chosen = rng.choice(len(styles), size=count, replace=False)
    codes = list(styles.values())
    for number, index in enumerate(chosen):
        name = f"{FAKE}.nii.gz" if count == 1 else f"{FAKE}{number}.nii.gz"
        yield name, np.asarray(codes[int(index)], dtype=np.float32)


def _fake_case(
    case: RecipeCase, name: str, parameters: TranslateParameters, context: StageContext
) -> RecipeCase:
    return replace(
        case,
        case_id=f"{case.case_id}-{name.removesuffix('.nii.gz')}",
        domain="synthetic" if case.domain == "source" else case.domain,
        modality="MR" if parameters.to == "target" else "CT",
        images={FAKE: context.own_file(name)},
    )


def _middle_slices(array: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The slice in the middle, or the middle `share` of all slices."""
    count = max(1, round(len(array) * share))
    first = (len(array) - count) // 2
    return array[first : first + count]


TRANSLATION_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "train-translator": Stage(
            1,
            TranslatorParameters,
            train_translator,
            TRANSLATOR,
            {"source": Slot(CASES, many=True), "target": Slot(CASES, many=True)},
            resumable=True,
            common=True,
            training=translation_plan,
        ),
        "collect-styles": Stage(
            1,
            StyleParameters,
            collect_styles,
            STYLES,
            {"cases": Slot(CASES, many=True), "translator": Slot(TRANSLATOR)},
        ),
        "translate-style": Stage(
            1,
            TranslateParameters,
            translate_style,
            CASES,
            {
                "cases": Slot(CASES),
                "translator": Slot(TRANSLATOR),
                "styles": Slot(STYLES, required=False),
            },
            CASE,
        ),
    }
)
