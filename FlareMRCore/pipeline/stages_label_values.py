"""Stages that change the label map of one case: mask, remap, hide parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.labels import remap, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import load_frame, open_image, read_volume
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.imaging.label_operations import confidence_mask, remap_values, zero_where_invalid
from FlareMRCore.pipeline.case_labels import (
    CONFIDENCE,
    read_case_labels,
    require_one_grid,
    structure_values,
    with_labels,
    without_labels,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs

IGNORED = "ignored"
Cases = tuple[RecipeCase, ...]


@dataclass(frozen=True, slots=True)
class ZeroOutsideParameters:
    """Where a label that came from another image ends.

    Attributes:
        floor: intensities up to it count as not seen.
        use_floor: False lets images of any intensity keep their labels.
        reach: name of an image of the case that is zero where its first image was not measured;
            empty if there is none.
    """

    floor: float = 0.0
    use_floor: bool = True
    reach: str = ""


@dataclass(frozen=True, slots=True)
class RemapLabelsParameters:
    """New values of labels.

    Attributes:
        values: pairs of an old and a new value.
        others: new value of the values that are not listed; -1 keeps them.
        convention: name of a foreign label convention that is read first; empty for none.
        annotated: ids that count as looked for afterward; empty: those the new values stand for.
    """

    values: tuple[tuple[int, int], ...] = ()
    others: int = -1
    convention: str = ""
    annotated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownLabels:
    """What a share of the cases keeps.

    Attributes:
        name: the cases join the part ``"partial/NAME"``.
        share: relative number of cases.
        structures: ids that stay; empty for none, which makes unlabeled cases.
    """

    name: str
    share: float
    structures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HideLabelsParameters:
    """How a fully labeled cohort becomes a partially labeled one.

    Attributes:
        groups: what each share of the cases keeps.
        seed: of the drawing.
    """

    groups: tuple[ShownLabels, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.groups or any(group.share < 0 for group in self.groups):
            raise UsageError(
                "Give at least one group, with shares of 0 and above.", code="usage.share"
            )
        if sum(group.share for group in self.groups) <= 0:
            raise UsageError("All shares are 0: no case has a group.", code="usage.share")


@dataclass(frozen=True, slots=True)
class ConfidenceMaskParameters:
    """Probability of the label below which a voxel teaches nothing."""

    minimum: float = 0.85


def zero_outside(
    inputs: StageInputs, parameters: ZeroOutsideParameters, context: StageContext
) -> Cases:
    """The case with labels only where its first image shows something.

    Raises:
        DatasetError: there is no image called `reach`.
        GeometryError: image and labels lie on different grids.
    """
    case = inputs.case()
    if case.label_map is None:
        return (case,)
    label_map, image = read_case_labels(case), read_volume(case.image.path)
    require_one_grid(case, (label_map, image))
    valid = _extra_image(case, parameters.reach) > 0 if parameters.reach else None
    floor = parameters.floor if parameters.use_floor else None
    array = zero_where_invalid(label_map.array, image.array, valid=valid, floor=floor)
    return (_changed(case, label_map, array, context),)


def remap_label_values(
    inputs: StageInputs, parameters: RemapLabelsParameters, context: StageContext
) -> Cases:
    """The case with other label values; a case without labels as it is."""
    case = inputs.case()
    if case.label_map is None:
        return (case,)
    label_map = read_case_labels(case)
    array = label_map.array
    if parameters.convention:
        array = remap(array, parameters.convention)
    others = None if parameters.others < 0 else parameters.others
    array = remap_values(array, dict(parameters.values), others=others)
    annotated = parameters.annotated or _names_after(case.annotated, parameters)
    changed = LabelMap(array, label_map.geometry, label_map.labels)
    return (with_labels(case, changed, context, annotated=annotated),)


def hide_labels(
    inputs: StageInputs, parameters: HideLabelsParameters, context: StageContext
) -> Cases:
    """The cases, each with the structures of its group only; their order stays."""
    cases = inputs.cases["cases"]
    groups = _drawn_groups(len(cases), parameters)
    shown = []
    for number, (case, group) in enumerate(zip(cases, groups, strict=True)):
        context.reporter.advance("labels", number, len(cases))
        kept = tuple(name for name in group.structures if name in case.annotated)
        partial = replace(case, parts=(*case.parts, f"partial/{group.name}"))
        if not kept or case.label_map is None:
            shown.append(without_labels(partial))
            continue
        label_map = read_case_labels(case)
        inside = np.isin(label_map.array, structure_values(kept))
        array = np.where(inside, label_map.array, np.uint8(0))
        changed = LabelMap(array, label_map.geometry, label_map.labels)
        shown.append(with_labels(partial, changed, context, folder=case.case_id, annotated=kept))
    return tuple(shown)


def mask_by_confidence(
    inputs: StageInputs, parameters: ConfidenceMaskParameters, context: StageContext
) -> Cases:
    """The case with doubtful voxels marked as ignored, and without its image of confidence.

    Raises:
        DatasetError: the case has labels, but no image of confidence.
    """
    case = inputs.case()
    if case.label_map is None:
        return (case,)
    label_map = read_case_labels(case)
    (ignored,) = structure_values((IGNORED,))
    confidence = _extra_image(case, CONFIDENCE)
    array = confidence_mask(label_map.array, confidence, minimum=parameters.minimum, ignore=ignored)
    images = {name: file for name, file in case.images.items() if name != CONFIDENCE}
    return (_changed(replace(case, images=images), label_map, array, context),)


def _changed(
    case: RecipeCase, label_map: LabelMap, array: NDArray[np.uint8], context: StageContext
) -> RecipeCase:
    return with_labels(case, LabelMap(array, label_map.geometry, label_map.labels), context)


def _extra_image(case: RecipeCase, name: str) -> NDArray[np.float32]:
    if name not in case.images:
        raise DatasetError(
            f"Case '{case.case_id}' has no image '{name}'. It has: {', '.join(case.images)}.",
            code="recipe.no-image",
            hint="Let an earlier stage write it.",
        )
    return load_frame(open_image(case.images[name].path), 0)  # may be the same everywhere


def _names_after(annotated: Iterable[str], parameters: RemapLabelsParameters) -> tuple[str, ...]:
    """What the annotated structures are called by their new values."""
    table = structure_table()
    names = {label.value: label.id for label in table}
    new = dict(parameters.values)
    values = (table.by_id(name).value for name in annotated)
    moved = (new.get(v, v if parameters.others < 0 else parameters.others) for v in values)
    return tuple(names[value] for value in moved if value in names)


def _drawn_groups(count: int, parameters: HideLabelsParameters) -> list[ShownLabels]:
    """A group for each case: as many as the shares say, rounded by the largest remainders."""
    shares = np.array([group.share for group in parameters.groups])
    wanted = shares / shares.sum() * count
    numbers = np.floor(wanted).astype(int)
    order = np.argsort(numbers - wanted, kind="stable")
    numbers[order[: count - numbers.sum()]] += 1
    drawn = np.repeat(np.arange(len(shares)), numbers)
    np.random.default_rng(parameters.seed).shuffle(drawn)
    return [parameters.groups[n] for n in drawn]


_CASES = {"cases": Slot(CASES)}

LABEL_VALUE_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "zero-outside": Stage(1, ZeroOutsideParameters, zero_outside, CASES, _CASES, CASE),
        "remap-labels": Stage(1, RemapLabelsParameters, remap_label_values, CASES, _CASES, CASE),
        "hide-labels": Stage(1, HideLabelsParameters, hide_labels, CASES, _CASES),
        "confidence-mask": Stage(
            1, ConfidenceMaskParameters, mask_by_confidence, CASES, _CASES, CASE
        ),
    }
)
"""Joined to STAGES."""
