"""Stages that choose cases, or pass labels between forms of one case; no image is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from FlareMRCore.pipeline.case_labels import without_labels
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs


@dataclass(frozen=True, slots=True)
class SelectParameters:
    """Which of the chosen cases go on.

    Attributes:
        first: only so many, in order; 0 for all.
    """

    first: int = 0


@dataclass(frozen=True, slots=True)
class AdoptLabelsParameters:
    """Nothing to choose: cases belong together by their id."""


def select(
    inputs: StageInputs, parameters: SelectParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The cases that ``where`` leaves, as they are: for stages whose other inputs need a choice."""
    return inputs.cases["cases"][: parameters.first or None]


def adopt_labels(
    inputs: StageInputs, parameters: AdoptLabelsParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the labels that another stage gave the case of the same id; else without.

    So labels found in one form of an image, such as its edges, join another form of it.
    """
    case = inputs.case()
    for other in inputs.cases["labels"]:
        if other.case_id == case.case_id and other.label_map is not None:
            found = replace(
                case,
                label_map=other.label_map,
                label_source=other.label_source,
                annotated=other.annotated,
            )
            return (found,)
    return (without_labels(case),)


CASE_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "select": Stage(1, SelectParameters, select, CASES, {"cases": Slot(CASES, many=True)}),
        "adopt-labels": Stage(
            1,
            AdoptLabelsParameters,
            adopt_labels,
            CASES,
            {"cases": Slot(CASES), "labels": Slot(CASES, many=True)},
            CASE,
        ),
    }
)
