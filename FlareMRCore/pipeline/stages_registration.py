"""Stages that align images of one patient, or of patients of one size, and pass labels between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.label_operations import zero_where_invalid
from FlareMRCore.imaging.registration import Kind, Registration, RegistrationOptions, align
from FlareMRCore.imaging.registration_transform import (
    SpatialTransform,
    reach,
    save_transform,
    warp_labels,
    warp_volume,
)
from FlareMRCore.imaging.volume_matching import Body, body_volume_mm3, closest_body
from FlareMRCore.pipeline.artifacts import NOTES
from FlareMRCore.pipeline.case_labels import (
    read_case_labels,
    require_allowed_labels,
    require_one_grid,
    with_labels,
    without_labels,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs

TRANSFORM_NAME = "transform.npz"
NOT_ALIGNED = ("registration.failed", "input.constant")
"""Codes of errors that leave a case as it is: no overlap, or a label map without organs."""
Partner = Literal["patient", "volume", "first"]


@dataclass(frozen=True, slots=True)
class RegisterParameters:
    """How each case is brought onto the grid of another one.

    Attributes:
        kind: how much may change.
        partner: which of the references: ``"patient"``: one of the same patient; ``"volume"``: the
            body of the most similar volume, of the same patient if there is one; ``"first"``: the
            first one for all.
        labels: ``"reuse"``: those of the reference, never warped, where the image reaches;
            ``"warp"``: the case's own, nearest neighbor; ``"drop"``: none.
        zero_up_to: reused labels end where the aligned image is not above this; None for no such
            rule.
        options: what is compared, and how.
    """

    kind: Kind = "syn"
    partner: Partner = "patient"
    labels: Literal["reuse", "warp", "drop"] = "reuse"
    zero_up_to: float | None = 0.0
    options: RegistrationOptions = field(default_factory=RegistrationOptions)


@dataclass(frozen=True, slots=True)
class PropagateParameters:
    """How each case gets the warped labels of a labeled one; see `RegisterParameters`."""

    kind: Kind = "affine"
    partner: Partner = "volume"
    options: RegistrationOptions = field(default_factory=RegistrationOptions)


def register(
    inputs: StageInputs, parameters: RegisterParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case aligned with its reference, on the reference's grid; transform.npz is kept.

    A reference itself comes back as it is. A case without a reference (a labeled one, if labels
    are reused), or one that cannot be aligned, comes back as it is and, unless it keeps its own
    labels, without any. With ``guides`` the transform is that of the guide of the same patient.

    Raises:
        DatasetError: the reference is of the target and its labels are manual.
    """
    case = inputs.case()
    references = inputs.cases["references"]
    if parameters.labels == "reuse":
        references = tuple(one for one in references if one.label_map is not None)
    reference = _partner(case, references, parameters.partner)
    if reference is not None and parameters.labels == "reuse":
        require_allowed_labels(reference)
    if reference is not None and reference.case_id == case.case_id:
        own = case if parameters.labels == "warp" else without_labels(case)
        return (reference if parameters.labels == "reuse" else own,)
    guide = case
    if "guides" in inputs.cases:
        guide = _partner(case, inputs.cases["guides"], "patient") or case
    found = _aligned(reference, guide, parameters, context) if reference else None
    if reference is None or found is None:
        return (case if parameters.labels == "warp" else without_labels(case),)
    return (_moved(case, reference, found.transform, parameters, context),)


def propagate_labels(
    inputs: StageInputs, parameters: PropagateParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the labels of a labeled one, warped onto it; unlabeled if that fails.

    Raises:
        DatasetError: the labeled one is of the target and its labels are manual.

    Source: Zhu et al., FLARE 2024 task 3 (matching by volume, affine registration).
    """
    case = inputs.case()
    candidates = tuple(c for c in inputs.cases["labeled"] if c.label_map is not None)
    owner = _partner(case, candidates, parameters.partner)
    if owner is None:
        return (without_labels(case),)
    require_allowed_labels(owner)
    found = _aligned(case, owner, parameters, context)
    if found is None:
        return (without_labels(case),)
    grid = read_volume(case.image.path).geometry
    labels = warp_labels(found.transform, read_case_labels(owner), grid)
    return (_owned(case, labels, owner, context),)


def _partner(
    case: RecipeCase, candidates: tuple[RecipeCase, ...], partner: Partner
) -> RecipeCase | None:
    """Which of the candidates belongs to the case; itself first, then by id; None if none does."""
    if partner == "first":
        return candidates[0] if candidates else None
    same = [c for c in candidates if c.patient_id == case.patient_id]
    itself = [c for c in same if c.case_id == case.case_id]
    if itself or partner == "patient":
        return min(itself or same, key=lambda c: c.case_id, default=None)
    if not candidates:
        return None
    # Only as many bodies are measured as the choice needs.
    bodies = {c.case_id: _body(c.patient_id, c.image.path) for c in same or candidates}
    chosen = closest_body(_body(case.patient_id, case.image.path), bodies)
    return next(c for c in candidates if c.case_id == chosen)


@cache
def _body(patient_id: str, path: Path) -> Body:
    return Body(patient_id, body_volume_mm3(read_volume(path)))


def _aligned(
    fixed: RecipeCase,
    moving: RecipeCase,
    parameters: RegisterParameters | PropagateParameters,
    context: StageContext,
) -> Registration | None:
    """The registration, kept in the artifact; None if there is nothing that could be improved."""
    options = parameters.options
    pair = (_subject(fixed, options), _subject(moving, options))
    try:
        found = align(*pair, kind=parameters.kind, options=options)
    except InputError as error:
        if error.code not in NOT_ALIGNED:
            raise
        context.reporter.message(
            f"{moving.case_id} cannot be aligned with {fixed.case_id}: {error}", level="warning"
        )
        return None
    save_transform(context.folder / TRANSFORM_NAME, found.transform)
    note = {
        "fixed": fixed.case_id,
        "fixed_image": fixed.image.sha256,
        "moving": moving.case_id,
        "backend": found.backend,
        "method": found.transform.method,
        "similarity_before": found.similarity_before,
        "similarity_after": found.similarity_after,
    }
    (context.folder / NOTES).mkdir(exist_ok=True)
    write_json_atomically(context.folder / NOTES / "registration.json", note)
    return found


def _subject(case: RecipeCase, options: RegistrationOptions) -> Volume | LabelMap:
    return read_case_labels(case) if options.on == "label" else read_volume(case.image.path)


def _moved(
    case: RecipeCase,
    reference: RecipeCase,
    transform: SpatialTransform,
    parameters: RegisterParameters,
    context: StageContext,
) -> RecipeCase:
    """The case on the grid of the reference, with the labels that it may have there."""
    grid = read_volume(reference.image.path).geometry
    warped: dict[str, Volume] = {}
    for name, file in case.images.items():
        moving = read_volume(file.path)
        # 0 is what was not measured in MR (see `zero-outside`), and air lies lower in CT.
        fill = min(0.0, float(moving.array.min()))
        warped[name] = warp_volume(transform, moving, grid, fill=fill)
        write_volume(context.folder / f"{name}.nii.gz", warped[name])
    images = {name: context.own_file(f"{name}.nii.gz") for name in warped}
    moved = replace(case, images=images)
    if parameters.labels == "warp" and case.label_map is not None:
        labels = warp_labels(transform, read_case_labels(case), grid)
        return with_labels(moved, labels, context)
    if parameters.labels != "reuse" or reference.label_map is None:
        return without_labels(moved)
    covered = reach(transform, read_volume(case.image.path).geometry, grid)
    labels, first = read_case_labels(reference), next(iter(warped.values()))
    require_one_grid(reference, (first, labels))
    array = zero_where_invalid(
        labels.array,
        first.array,
        valid=covered,
        floor=parameters.zero_up_to,
    )
    return _owned(moved, LabelMap(array, grid, labels.labels), reference, context)


def _owned(
    case: RecipeCase, labels: LabelMap, owner: RecipeCase, context: StageContext
) -> RecipeCase:
    """The case with labels of another one; a guess from a source case counts as predicted."""
    is_guess = case.domain == "target" and owner.domain != "target"
    source = "predicted" if is_guess else owner.label_source
    return with_labels(case, labels, context, source=source, annotated=owner.annotated)


REGISTRATION_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "register": Stage(
            1,
            RegisterParameters,
            register,
            CASES,
            {
                "cases": Slot(CASES),
                "references": Slot(CASES, many=True),
                "guides": Slot(CASES, many=True, required=False),
            },
            CASE,
        ),
        "propagate-labels": Stage(
            1,
            PropagateParameters,
            propagate_labels,
            CASES,
            {"cases": Slot(CASES), "labeled": Slot(CASES, many=True)},
            CASE,
        ),
    }
)
