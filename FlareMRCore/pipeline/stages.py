"""STAGES: everything a recipe can use, one line each (parameters, function, kind of output)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from FlareMRCore.pipeline.stage import (
    CASE,
    CASES,
    MODEL,
    NETWORK,
    PACK,
    SCORES,
    Slot,
    Stage,
)
from FlareMRCore.pipeline.stages_cases import CASE_STAGES
from FlareMRCore.pipeline.stages_filters import FILTER_STAGES
from FlareMRCore.pipeline.stages_images import (
    KeepLargestParameters,
    PhantomCohortParameters,
    ResampleParameters,
    keep_largest,
    phantom_cohort,
    resample,
)
from FlareMRCore.pipeline.stages_intensities import INTENSITY_STAGES
from FlareMRCore.pipeline.stages_label_values import LABEL_VALUE_STAGES
from FlareMRCore.pipeline.stages_labels import LABEL_STAGES
from FlareMRCore.pipeline.stages_nnunet import NNUNET_STAGES
from FlareMRCore.pipeline.stages_pools import POOL_STAGES
from FlareMRCore.pipeline.stages_registration import REGISTRATION_STAGES
from FlareMRCore.pipeline.stages_results import (
    EvaluateParameters,
    SegmentParameters,
    evaluate_cases,
    segment_case,
    weights_digests,
)
from FlareMRCore.pipeline.stages_review import REVIEW_STAGES
from FlareMRCore.pipeline.stages_stacks import STACK_STAGES
from FlareMRCore.pipeline.stages_training import (
    ExportParameters,
    PackParameters,
    export_weights,
    group_digests,
    pack,
    train,
    training_plan,
)
from FlareMRCore.pipeline.stages_translation import TRANSLATION_STAGES
from FlareMRCore.training.parameters import TrainingParameters

_EACH_CASE = {"cases": Slot(CASES)}

STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "phantom-cohort": Stage(1, PhantomCohortParameters, phantom_cohort, CASES),
        "resample": Stage(1, ResampleParameters, resample, CASES, _EACH_CASE, CASE),
        "keep-largest": Stage(1, KeepLargestParameters, keep_largest, CASES, _EACH_CASE, CASE),
        "pack": Stage(
            1,
            PackParameters,
            pack,
            PACK,
            {"cases": Slot(CASES, many=True, required=False)},
            external=group_digests,
        ),
        "train-segmentation": Stage(
            2,
            TrainingParameters,
            train,
            NETWORK,
            {"packs": Slot(PACK, many=True), "initial": Slot(NETWORK, required=False)},
            resumable=True,
            common=True,
            training=training_plan,
        ),
        "export-weights": Stage(
            1, ExportParameters, export_weights, MODEL, {"networks": Slot(NETWORK, many=True)}
        ),
        "segment": Stage(
            1,
            SegmentParameters,
            segment_case,
            CASES,
            {"cases": Slot(CASES), "model": Slot(MODEL, required=False)},
            CASE,
            external=weights_digests,
        ),
        "evaluate": Stage(
            1,
            EvaluateParameters,
            evaluate_cases,
            SCORES,
            {"predictions": Slot(CASES), "references": Slot(CASES)},
        ),
        **NNUNET_STAGES,
        **POOL_STAGES,
        **CASE_STAGES,
        **INTENSITY_STAGES,
        **TRANSLATION_STAGES,
        **REGISTRATION_STAGES,
        **FILTER_STAGES,
        **LABEL_STAGES,
        **LABEL_VALUE_STAGES,
        **REVIEW_STAGES,
        **STACK_STAGES,
    }
)
