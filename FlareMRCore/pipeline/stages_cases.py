"""Stages that choose cases, or pass labels between images on one grid, without changing any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.pipeline.case_labels import read_case_labels, require_one_grid, without_labels
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
    """Whose labels a case takes.

    Attributes:
        partner: ``"case"``: another form of the same case, by its id; ``"patient"``: any case of
            the same patient, which it must have been aligned with.
    """

    partner: Literal["case", "patient"] = "case"


def select(
    inputs: StageInputs, parameters: SelectParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The cases that ``where`` leaves, as they are: for stages whose other inputs need a choice."""
    return inputs.cases["cases"][: parameters.first or None]


def adopt_labels(
    inputs: StageInputs, parameters: AdoptLabelsParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the labels that another stage gave its partner; else without.

    So labels found in one form of an image, such as its edges, join another form of it, and those
    of one sequence the others that were brought onto its grid.

    Raises:
        GeometryError: labels and image lie on different grids.
    """
    case = inputs.case()
    labeled = [other for other in inputs.cases["labels"] if other.label_map is not None]
    if parameters.partner == "case":
        found = [other for other in labeled if other.case_id == case.case_id]
    else:
        found = [other for other in labeled if other.patient_id == case.patient_id]
    if not found:
        return (without_labels(case),)
    # Several owners: itself, else the first by id.
    owner = min(found, key=lambda other: (other.case_id != case.case_id, other.case_id))
    require_one_grid(case, (read_volume(case.image.path), read_case_labels(owner)))
    adopted = replace(
        case,
        label_map=owner.label_map,
        label_source=owner.label_source,
        annotated=owner.annotated,
    )
    return (adopted,)


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
