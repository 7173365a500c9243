"""Stages that look at stacks of slices as a whole: which way up they are, how long they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.geometry import nearest_axes
from FlareMRCore.data.volume_io import read_grid, read_volume, write_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.events import json_values
from FlareMRCore.imaging.z_flip import (
    ZFlip,
    ZFlipRule,
    detect_z_flip,
    flip_label_slices,
    flip_slices,
)
from FlareMRCore.pipeline.case_labels import read_case_labels, with_labels
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASES, Slot, Stage, StageContext, StageInputs
from FlareMRCore.pipeline.stages_kidney import sequence_of

FLIPS_NAME = "flips.json"


@dataclass(frozen=True, slots=True)
class UnflipParameters:
    """Which sequence tells whether a patient's stacks are upside down.

    Attributes:
        sequence: the one that is looked at; patients without it stay as they are.
        rule: see `ZFlipRule`.
    """

    sequence: str = "IP"
    rule: ZFlipRule = field(default_factory=ZFlipRule)


@dataclass(frozen=True, slots=True)
class SelectLongParameters:
    """How much of the trunk a case must show; both limits hold.

    Attributes:
        more_than_slices: number of slices from foot to head, exclusive.
        min_extent_mm: length from foot to head.
        always: sources of labels whose cases stay, however short.
    """

    more_than_slices: int = 0
    min_extent_mm: float = 0.0
    always: tuple[str, ...] = ("manual",)


def unflip(
    inputs: StageInputs, parameters: UnflipParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The cases, all stacks of a patient in reverse order if one sequence is upside down.

    flips.json tells what was found for each patient, doubts included. Headers stay.

    Raises:
        InputError: an image cannot be read, or is constant.
    """
    cases = inputs.cases["cases"]
    found: dict[str, ZFlip] = {}
    for number, case in enumerate(cases):
        context.reporter.advance("stacks", number, len(cases))
        if sequence_of(case) == parameters.sequence and case.patient_id not in found:
            found[case.patient_id] = detect_z_flip(read_volume(case.image.path), parameters.rule)
    flipped = {patient for patient, flip in found.items() if flip.flipped}
    content = {patient: asdict(flip) for patient, flip in found.items()}
    text = json.dumps(json_values(content), indent=1, allow_nan=False) + "\n"
    write_text_atomically(context.folder / FLIPS_NAME, text)
    doubtful = sum(flip.doubtful for flip in found.values())
    context.reporter.message(
        f"{len(flipped)} of {len(found)} patients were upside down, {doubtful} are doubtful."
    )
    return tuple(_turned(case, context) if case.patient_id in flipped else case for case in cases)


def select_long(
    inputs: StageInputs, parameters: SelectLongParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The cases that show enough, as they are.

    Raises:
        DatasetError: none does.
    """
    kept = tuple(case for case in inputs.cases["cases"] if _is_long(case, parameters))
    if not kept:
        raise DatasetError(
            f"No case has more than {parameters.more_than_slices} slices and "
            f"{parameters.min_extent_mm:g} mm from foot to head.",
            code="recipe.no-cases",
            hint="Lower the limits of this stage.",
        )
    return kept


def _turned(case: RecipeCase, context: StageContext) -> RecipeCase:
    folder = context.folder / case.case_id
    folder.mkdir()
    images = {}
    for name, file in case.images.items():
        write_volume(folder / f"{name}.nii.gz", flip_slices(read_volume(file.path)))
        images[name] = context.own_file(f"{case.case_id}/{name}.nii.gz")
    turned = replace(case, images=images)
    if case.label_map is None:
        return turned
    labels = flip_label_slices(read_case_labels(case))
    return with_labels(turned, labels, context, folder=case.case_id)


def _is_long(case: RecipeCase, parameters: SelectLongParameters) -> bool:
    if case.label_source in parameters.always:
        return True
    geometry = read_grid(case.image.path).geometry
    order, _ = nearest_axes(geometry.direction)
    axis = order.index(2)
    return (
        geometry.shape[axis] > parameters.more_than_slices
        and geometry.extent_mm[axis] >= parameters.min_extent_mm
    )


STACK_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "unflip": Stage(1, UnflipParameters, unflip, CASES, {"cases": Slot(CASES, many=True)}),
        "select-long": Stage(
            1, SelectLongParameters, select_long, CASES, {"cases": Slot(CASES, many=True)}
        ),
    }
)
"""Joined to STAGES."""
