"""The label maps of cases: read with all that a training knows, written, taken away, guarded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import LabelTable, organ_table, structure_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import DatasetError, GeometryError
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageContext

LABELS_NAME = "labels.nii.gz"
CONFIDENCE = "confidence"
"""Name of the image with the probability of each voxel's label, which 'segment' can write."""
OWN_LABELS = ("predicted", "corrected")
"""Sources of labels that a target case may have without giving the target's truth away."""


def read_case_labels(case: RecipeCase) -> LabelMap:
    """Labels of a case with the values of `structure_table`: organs, tumors, ignored voxels.

    Raises:
        DatasetError: the case has none.
        InputError: the file is no label map.
    """
    if case.label_map is None:
        raise DatasetError(
            f"Case '{case.case_id}' has no labels, and this stage needs them.",
            code="recipe.no-labels",
            hint="Choose labeled cases with 'where = { labeled = true }'.",
        )
    return read_label_map(case.label_map.path, structure_table())


def with_labels(
    case: RecipeCase,
    label_map: LabelMap,
    context: StageContext,
    *,
    folder: str = "",
    source: str | None = None,
    annotated: Iterable[str] | None = None,
) -> RecipeCase:
    """The case with `label_map`, written to the artifact.

    Args:
        case: as it was.
        label_map: on the grid of its first image.
        context: of the stage.
        folder: folder in the artifact, for stages that make several cases.
        source: who made the labels now; None: the same as before.
        annotated: ids that were looked for; None: the same as before.
    """
    name = f"{folder}/{LABELS_NAME}" if folder else LABELS_NAME
    path = context.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = _table_of(label_map.array)
    write_label_map(path, LabelMap(label_map.array, label_map.geometry, table))
    return replace(
        case,
        label_map=context.own_file(name),
        label_source=case.label_source if source is None else source,
        annotated=case.annotated if annotated is None else _in_order(annotated),
    )


def without_labels(case: RecipeCase) -> RecipeCase:
    """The case as an unlabeled image."""
    return replace(case, label_map=None, label_source=None, annotated=())


def structure_values(ids: Iterable[str]) -> tuple[int, ...]:
    """Label values of organs and tumors by id, in order.

    Raises:
        UsageError: no such structure.
    """
    return structure_table().subset(tuple(ids)).values


def require_allowed_labels(case: RecipeCase) -> None:
    """Refuse labels of the target that no model made: adaptation must not see them.

    Raises:
        DatasetError: the case is of the target domain and its labels are not our own.
    """
    if case.domain != "target" or case.label_map is None or case.label_source in OWN_LABELS:
        return
    raise DatasetError(
        f"Case '{case.case_id}' is of the target domain and has labels of source "
        f"'{case.label_source}', which no training may see.",
        code="recipe.target-labels",
        hint="Leave it out with 'where', or set target_labels = true if this is no adaptation.",
    )


def require_one_grid(case: RecipeCase, images: Sequence[Volume | LabelMap]) -> None:
    """Refuse label maps and images that cannot be compared voxel by voxel.

    Raises:
        GeometryError: their grids differ by more than a tenth of a millimeter.
    """
    first = images[0].geometry
    for image in images[1:]:
        if not image.geometry.coincides(first, tolerance_mm=0.1):
            raise GeometryError(
                f"Case '{case.case_id}': grids of shapes {first.shape} and "
                f"{image.geometry.shape} do not coincide.",
                code="recipe.grid",
                hint="Bring both to one grid first.",
            )


def by_case(cases: Iterable[RecipeCase]) -> dict[str, tuple[RecipeCase, ...]]:
    """Cases of several stages by id, in order: what each stage made of one examination."""
    found: defaultdict[str, list[RecipeCase]] = defaultdict(list)
    for case in cases:
        found[case.case_id].append(case)
    return {name: tuple(same) for name, same in found.items()}


def _table_of(array: NDArray[np.uint8]) -> LabelTable:
    """The organs, or more where the array has more."""
    organs = organ_table()
    return structure_table() if int(array.max()) > max(organs.values) else organs


def _in_order(ids: Iterable[str]) -> tuple[str, ...]:
    wanted = set(ids)
    return tuple(label.id for label in structure_table() if label.id in wanted)
