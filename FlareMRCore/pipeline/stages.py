"""STAGES: everything a recipe can use; each topic's table is beside its functions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages_cases import CASE_STAGES
from FlareMRCore.pipeline.stages_filters import FILTER_STAGES
from FlareMRCore.pipeline.stages_images import IMAGE_STAGES
from FlareMRCore.pipeline.stages_intensities import INTENSITY_STAGES
from FlareMRCore.pipeline.stages_label_values import LABEL_VALUE_STAGES
from FlareMRCore.pipeline.stages_labels import LABEL_STAGES
from FlareMRCore.pipeline.stages_nnunet import NNUNET_STAGES
from FlareMRCore.pipeline.stages_pools import POOL_STAGES
from FlareMRCore.pipeline.stages_registration import REGISTRATION_STAGES
from FlareMRCore.pipeline.stages_results import RESULT_STAGES
from FlareMRCore.pipeline.stages_review import REVIEW_STAGES
from FlareMRCore.pipeline.stages_stacks import STACK_STAGES
from FlareMRCore.pipeline.stages_training import TRAINING_STAGES
from FlareMRCore.pipeline.stages_translation import TRANSLATION_STAGES

STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        **IMAGE_STAGES,
        **TRAINING_STAGES,
        **RESULT_STAGES,
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
