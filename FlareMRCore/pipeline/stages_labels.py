"""Stages that make one label map of several: corrected by references, merged, fused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import DatasetError
from FlareMRCore.imaging.label_operations import (
    Combination,
    combine_rounds,
    correct_partial,
    merge_branches,
    union_with_truth,
)
from FlareMRCore.pipeline.case_labels import (
    by_case,
    read_case_labels,
    require_allowed_labels,
    require_one_grid,
    structure_values,
    with_labels,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASES, Slot, Stage, StageContext, StageInputs

Cases = tuple[RecipeCase, ...]
_Change = Callable[[RecipeCase, RecipeCase], RecipeCase]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class CorrectPartialParameters:
    """Nothing to choose: every structure annotated in a reference comes from there."""


@dataclass(frozen=True, slots=True)
class UnionWithTruthParameters:
    """Structures that either of the two may mark."""

    structures: tuple[str, ...] = ("tumor",)


@dataclass(frozen=True, slots=True)
class MergeBranchesParameters:
    """Nothing to choose: the order of the inputs is the order of rising priority."""


@dataclass(frozen=True, slots=True)
class FuseRoundsParameters:
    """How rounds vote; see `combine_rounds`."""

    mode: Combination = "union"


def correct_partial_labels(
    inputs: StageInputs, parameters: CorrectPartialParameters, context: StageContext
) -> Cases:
    """Predicted cases whose annotated structures are exactly those of their references.

    A case without a labeled reference stays as it is.

    Raises:
        DatasetError: a reference is the target's truth.
        GeometryError: prediction and reference lie on different grids.
    """

    def corrected(case: RecipeCase, reference: RecipeCase) -> RecipeCase:
        predicted, truth = _pair(case, reference)
        values = structure_values(reference.annotated)
        array = correct_partial(predicted.array, truth.array, values)
        annotated = (*case.annotated, *reference.annotated)
        return _joined(case, predicted, array, context, annotated=annotated)

    return _with_references(inputs, corrected, context)


def union_with_true_labels(
    inputs: StageInputs, parameters: UnionWithTruthParameters, context: StageContext
) -> Cases:
    """Predicted cases with the chosen structures of their references written over them.

    Only structures that were looked for in the reference count. A case without a labeled
    reference stays as it is.

    Raises:
        DatasetError: a reference is the target's truth.
        GeometryError: prediction and reference lie on different grids.
    """

    def united(case: RecipeCase, reference: RecipeCase) -> RecipeCase:
        predicted, truth = _pair(case, reference)
        shown = tuple(name for name in parameters.structures if name in reference.annotated)
        array = union_with_truth(predicted.array, truth.array, structure_values(shown))
        return _joined(case, predicted, array, context, annotated=(*case.annotated, *shown))

    return _with_references(inputs, united, context)


def merge_label_branches(
    inputs: StageInputs, parameters: MergeBranchesParameters, context: StageContext
) -> Cases:
    """One case of the label maps that several stages made of an examination.

    Raises:
        DatasetError: a case comes from fewer stages than others, or has no labels.
        GeometryError: the label maps lie on different grids.
    """
    groups = by_case(inputs.cases["branches"])
    count = max(len(same) for same in groups.values())
    missing = [name for name, same in groups.items() if len(same) != count]
    if missing:
        raise DatasetError(
            f"{len(missing)} cases have fewer than {count} label maps to merge: "
            f"{', '.join(missing[:5])}.",
            code="recipe.branches",
            hint="Give all stages the same cases.",
        )
    merged = []
    for same in _told(groups.values(), context):
        maps = [read_case_labels(case) for case in same]
        require_one_grid(same[0], maps)
        array = merge_branches([label_map.array for label_map in maps])
        annotated = [name for case in same for name in case.annotated]
        merged.append(
            with_labels(
                same[0],
                LabelMap(array, maps[0].geometry, maps[0].labels),
                context,
                folder=same[0].case_id,
                annotated=annotated,
            )
        )
    return tuple(merged)


def fuse_label_rounds(
    inputs: StageInputs, parameters: FuseRoundsParameters, context: StageContext
) -> Cases:
    """One case of the label maps that several rounds made of an examination, the latest last.

    Rounds that left a case unlabeled have no vote; a case that no round labeled stays so.

    Raises:
        GeometryError: the label maps lie on different grids.
    """
    fused = []
    for same in _told(by_case(inputs.cases["rounds"]).values(), context):
        labeled = [case for case in same if case.label_map is not None]
        if not labeled:
            fused.append(same[-1])
            continue
        maps = [read_case_labels(case) for case in labeled]
        require_one_grid(same[-1], maps)
        array = combine_rounds([label_map.array for label_map in maps], parameters.mode)
        shared = set.intersection(*(set(case.annotated) for case in labeled))
        label_map = LabelMap(array, maps[0].geometry, maps[0].labels)
        folder = same[-1].case_id
        fused.append(with_labels(labeled[-1], label_map, context, folder=folder, annotated=shared))
    return tuple(fused)


def _with_references(inputs: StageInputs, change: _Change, context: StageContext) -> Cases:
    """All cases in order, those with a labeled reference as `change` has them."""
    references = {case.case_id: case for case in inputs.cases["references"] if case.label_map}
    for reference in references.values():
        require_allowed_labels(reference)
    changed = []
    for case in _told(inputs.cases["cases"], context):
        found = references.get(case.case_id)
        changed.append(case if found is None else change(case, found))
    return tuple(changed)


def _told(items: Collection[_Item], context: StageContext) -> Iterator[_Item]:
    """The items; each is a chance to stop."""
    for number, item in enumerate(items):
        context.reporter.advance("labels", number, len(items))
        yield item


def _pair(case: RecipeCase, reference: RecipeCase) -> tuple[LabelMap, LabelMap]:
    predicted, truth = read_case_labels(case), read_case_labels(reference)
    require_one_grid(case, (predicted, truth))
    return predicted, truth


def _joined(
    case: RecipeCase,
    predicted: LabelMap,
    array: NDArray[np.uint8],
    context: StageContext,
    *,
    annotated: Iterable[str],
) -> RecipeCase:
    """The case with labels that are partly predicted and partly true."""
    label_map = LabelMap(array, predicted.geometry, predicted.labels)
    return with_labels(
        case, label_map, context, folder=case.case_id, source="corrected", annotated=annotated
    )


_TWO = {"cases": Slot(CASES), "references": Slot(CASES, many=True)}

LABEL_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "correct-partial": Stage(1, CorrectPartialParameters, correct_partial_labels, CASES, _TWO),
        "union-with-truth": Stage(1, UnionWithTruthParameters, union_with_true_labels, CASES, _TWO),
        "merge-branches": Stage(
            1,
            MergeBranchesParameters,
            merge_label_branches,
            CASES,
            {"branches": Slot(CASES, many=True)},
        ),
        "fuse-rounds": Stage(
            1, FuseRoundsParameters, fuse_label_rounds, CASES, {"rounds": Slot(CASES, many=True)}
        ),
    }
)
"""Joined to STAGES."""
