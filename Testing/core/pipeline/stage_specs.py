"""One use of every stage, on the smallest cases that there can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from FlareMRCore.imaging.registration import RegistrationOptions
from FlareMRCore.pipeline.recipe import StageSpec
from FlareMRCore.pipeline.recipe_cases import CaseFilter
from FlareMRCore.pipeline.stages_cases import AdoptLabelsParameters, SelectParameters
from FlareMRCore.pipeline.stages_filters import (
    FilterAnatomyParameters,
    FilterUncertaintyParameters,
    FilterVolumeRatioParameters,
)
from FlareMRCore.pipeline.stages_images import (
    KeepLargestParameters,
    PhantomCohortParameters,
    ResampleParameters,
)
from FlareMRCore.pipeline.stages_intensities import SobelParameters, WindowParameters
from FlareMRCore.pipeline.stages_kidney import FilterKidneyParameters
from FlareMRCore.pipeline.stages_label_values import (
    ConfidenceMaskParameters,
    HideLabelsParameters,
    RemapLabelsParameters,
    ShownLabels,
    ZeroOutsideParameters,
)
from FlareMRCore.pipeline.stages_labels import (
    CorrectPartialParameters,
    FuseRoundsParameters,
    MergeBranchesParameters,
    UnionWithTruthParameters,
)
from FlareMRCore.pipeline.stages_nnunet import NnunetParameters
from FlareMRCore.pipeline.stages_pools import PoolStageParameters
from FlareMRCore.pipeline.stages_registration import PropagateParameters, RegisterParameters
from FlareMRCore.pipeline.stages_results import EvaluateParameters, SegmentParameters
from FlareMRCore.pipeline.stages_review import ApplyReviewParameters
from FlareMRCore.pipeline.stages_stacks import SelectLongParameters, UnflipParameters
from FlareMRCore.pipeline.stages_training import PackParameters
from FlareMRCore.pipeline.stages_translation import StyleParameters, TranslateParameters
from FlareMRCore.pipeline.translator_inputs import TranslatorParameters
from FlareMRCore.training.learning_parameters import TrainerParameters
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.training.parameters import SamplingParameters, TrainingParameters
from FlareMRCore.training.pool_parameters import PoolTrainingParameters
from FlareMRCore.training.pool_preparation import PoolPreparation
from FlareMRCore.training.translation_parameters import TranslationParameters

SAMPLING = SamplingParameters(
    spacing_mm=16.0, shapes=((16, 16, 16),), shape_shares=(1.0,), contrast_shares=(1.0, 0.0, 0.0)
)
SOURCE = CaseFilter(domain="source")


def _spec(stage_id: str, parameters: Any, **inputs: str) -> StageSpec:
    where = SOURCE if stage_id in ("pack",) else CaseFilter()
    use = {"cohort": "phantom-cohort", "train": "train-segmentation"}.get(stage_id, stage_id)
    slots = {slot: tuple(names.split()) for slot, names in inputs.items()}
    return StageSpec(stage_id, use, parameters, slots, where)


def _of_source(stage_id: str, parameters: Any, **inputs: str) -> StageSpec:
    return replace(_spec(stage_id, parameters, **inputs), where=SOURCE)


LIVER = ("liver",)
TWICE = "keep-largest hide-labels"
LABEL_SPECS = (
    _spec("unflip", UnflipParameters(sequence="T2"), cases="cohort"),
    _spec("select-long", SelectLongParameters(more_than_slices=10), cases="cohort"),
    _of_source(
        "hide-labels", HideLabelsParameters((ShownLabels("liver", 1.0, LIVER),)), cases="cohort"
    ),
    _of_source(
        "correct-partial", CorrectPartialParameters(), cases="keep-largest",
        references="hide-labels",
    ),
    _of_source(
        "union-with-truth", UnionWithTruthParameters(LIVER), cases="keep-largest",
        references="hide-labels",
    ),
    _of_source("merge-branches", MergeBranchesParameters(), branches=TWICE),
    _of_source("fuse-rounds", FuseRoundsParameters(), rounds=TWICE),
    _spec("zero-outside", ZeroOutsideParameters(), cases="cohort"),
    _spec("remap-labels", RemapLabelsParameters(((1, 14),)), cases="cohort"),
    _spec("confidence-mask", ConfidenceMaskParameters(), cases="segment"),
    _of_source(
        "filter-volume-ratio", FilterVolumeRatioParameters(), cases="keep-largest",
        references="hide-labels",
    ),
    _of_source(
        "filter-uncertainty", FilterUncertaintyParameters(drop_share=0.0), rounds=TWICE
    ),
    _of_source("filter-anatomy", FilterAnatomyParameters(), cases="keep-largest"),
    _spec("filter-kidney", FilterKidneyParameters(), cases="cohort", references="segment"),
)  # fmt: skip


UNLABELED = CaseFilter(domain="target", labeled=False)
ON_MASKS = RegistrationOptions(on="mask", metric="meansquares", backend="sitk")
DARNET = TranslationParameters((64, 64), TrainerParameters(1), family="darnet", width=2)
TRANSLATION_SPECS = (
    _of_source("window", WindowParameters(), cases="cohort"),
    _of_source("sobel", SobelParameters(), cases="cohort"),
    _spec("select", SelectParameters(first=2), cases="cohort"),
    _spec(
        "train-translator", TranslatorParameters((16.0, 16.0, 16.0), DARNET), source="window",
        target="cohort",
    ),
    _spec(
        "collect-styles", StyleParameters(), cases="cohort", translator="train-translator"
    ),
    _of_source(
        "translate-style", TranslateParameters(), cases="cohort", translator="train-translator",
        styles="collect-styles",
    ),
)  # fmt: skip
PASSING_SPECS = (
    replace(
        _spec(
            "register", RegisterParameters("translation", partner="first", options=ON_MASKS),
            cases="cohort", references="window",
        ),
        where=UNLABELED,
    ),
    replace(
        _spec(
            "propagate-labels",
            PropagateParameters("translation", partner="first", options=ON_MASKS),
            cases="cohort", labeled="window",
        ),
        where=UNLABELED,
    ),
    _spec("adopt-labels", AdoptLabelsParameters(), cases="cohort", labels="window"),
)  # fmt: skip
POOLS = PoolTrainingParameters("unet-mini", (16, 16, 16), TrainerParameters(2), augmentation="none")
POOL_SPECS = (
    _of_source(
        "train-pools",
        PoolStageParameters(POOLS, PoolPreparation(spacing_mm=(16.0, 16.0, 16.0))),
        labeled="cohort",
    ),
    _of_source("export-nnunet", NnunetParameters(), cases="keep-largest"),
)

SPECS = (
    _spec(
        "cohort",
        PhantomCohortParameters(
            ct_cases=1, mr_cases=1, test_cases=1, sequences=("t2", "venous"), spacing_mm=16.0
        ),
    ),
    _spec("resample", ResampleParameters((20.0, 16.0, 12.0)), cases="cohort"),
    _spec("keep-largest", KeepLargestParameters(("liver",)), cases="cohort"),
    _spec("pack", PackParameters(16.0), cases="cohort"),
    _spec(
        "train",
        TrainingParameters("flaremr-coarse", 2, warmup_steps=1, sampling=SAMPLING),
        packs="pack",
    ),
    _spec("export-weights", ModelDescription("test-model", "Test"), networks="train"),
    replace(
        _spec(
            "segment",
            SegmentParameters(mode="fast", confidence=True),
            cases="cohort",
            model="export-weights",
        ),
        where=CaseFilter(part="default/test"),
    ),
    _spec("apply-review", ApplyReviewParameters(), cases="segment"),
    _spec("evaluate", EvaluateParameters(), predictions="segment", references="cohort"),
    *LABEL_SPECS,
    *TRANSLATION_SPECS,
    *PASSING_SPECS,
    *POOL_SPECS,
)
