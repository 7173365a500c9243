"""Stages that make or change images and label maps, without networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.phantom_tumors import tumor_labels
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.imaging.components import keep_largest_components
from FlareMRCore.imaging.resampling import resample_labels_to, resample_to_spacing
from FlareMRCore.pipeline.case_labels import LABELS_NAME, read_case_labels, with_labels
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import CASE, CASES, Slot, Stage, StageContext, StageInputs

TRAIN, TEST = "default/train", "default/test"


@dataclass(frozen=True, slots=True)
class PhantomCohortParameters:
    """A cohort of synthetic abdomens; every person is another one.

    Attributes:
        ct_cases: CT with labels, domain source, part default/train.
        mr_cases: people in MR without labels, domain target, part default/train.
        test_cases: MR with labels, domain target, part default/test.
        sequences: MR sequences, taken in turn.
        spacing_mm: isotropic voxel size.
        first_seed: of the first person; the others follow.
        sequences_each: sequences of each person in MR without labels; each is a case, and cases
            of one person share the patient.
        motion_mm: how far a person may move along each axis from one sequence to the next.
        test_ct_cases: CT with labels, domain source, part default/test.
        tumors: people have tumors, which are labeled too.
    """

    ct_cases: int = 8
    mr_cases: int = 0
    test_cases: int = 2
    sequences: tuple[str, ...] = (
        "venous", "t2_fs", "t1_in", "t2", "t1_out", "arterial", "dwi", "delay",
    )  # fmt: skip
    spacing_mm: float = 3.0
    first_seed: int = 1000
    sequences_each: int = 1
    motion_mm: float = 0.0
    test_ct_cases: int = 0
    tumors: bool = False


@dataclass(frozen=True, slots=True)
class _Examination:
    """One image of a person: how the person looks, lies and is used."""

    seed: int
    sequence: str
    part: str
    is_labeled: bool
    shift_mm: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ResampleParameters:
    """Another voxel size, along the array axes (K, J, I)."""

    spacing_mm: Triple


@dataclass(frozen=True, slots=True)
class KeepLargestParameters:
    """Which organs lose all but their largest piece; empty for all."""

    organs: tuple[str, ...] = ()


def phantom_cohort(
    inputs: StageInputs, parameters: PhantomCohortParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """CT with labels, MR without and MR for the test, each a person of its own."""
    plan = tuple(_examinations(parameters))
    cases = []
    for number, examination in enumerate(plan):
        context.reporter.advance("phantoms", number, len(plan))
        cases.append(_phantom(examination, parameters, context))
    return tuple(cases)


def _examinations(parameters: PhantomCohortParameters) -> Iterator[_Examination]:
    """CT, MR without labels and MR for the test, in this order."""
    names = parameters.sequences
    first_mr = parameters.first_seed + parameters.ct_cases
    for seed in range(parameters.first_seed, first_mr):
        yield _Examination(seed, "ct", TRAIN, is_labeled=True)
    for number in range(parameters.mr_cases):
        rng = np.random.default_rng(first_mr + number)
        for place in range(parameters.sequences_each):
            right, front, up = rng.uniform(-1, 1, 3) * parameters.motion_mm * (place > 0)
            yield _Examination(
                first_mr + number,
                names[(number + place) % len(names)],
                TRAIN,
                is_labeled=False,
                shift_mm=(float(right), float(front), float(up)),
            )
    for number in range(parameters.mr_cases, parameters.mr_cases + parameters.test_cases):
        yield _Examination(first_mr + number, names[number % len(names)], TEST, is_labeled=True)
    first_ct = first_mr + parameters.mr_cases + parameters.test_cases
    for seed in range(first_ct, first_ct + parameters.test_ct_cases):
        yield _Examination(seed, "ct", TEST, is_labeled=True)


def _phantom(
    examination: _Examination, parameters: PhantomCohortParameters, context: StageContext
) -> RecipeCase:
    seed, sequence = examination.seed, examination.sequence
    geometry = phantom_geometry(parameters.spacing_mm)
    x, y, z = geometry.origin
    right, front, up = examination.shift_mm
    seen = replace(geometry, origin=(x - right, y - front, z - up))
    volume, label_map = make_phantom(seed, sequence, geometry=seen, tumors=parameters.tumors)
    if parameters.tumors:
        label_map = tumor_labels(seed, seen)
    case_id = f"phantom-{seed}-{sequence}"
    folder = context.folder / case_id
    folder.mkdir()
    write_volume(folder / f"{sequence}.nii.gz", Volume(volume.array, geometry))
    labels = None
    if examination.is_labeled:
        write_label_map(folder / LABELS_NAME, label_map)
        labels = context.own_file(f"{case_id}/{LABELS_NAME}")
    return RecipeCase(
        case_id=case_id,
        patient_id=f"phantom-{seed}",
        domain="source" if sequence == "ct" else "target",
        modality="CT" if sequence == "ct" else "MR",
        images={sequence: context.own_file(f"{case_id}/{sequence}.nii.gz")},
        label_map=labels,
        label_source="phantom" if labels else None,
        annotated=tuple(label.id for label in label_map.labels) if labels else (),
        parts=(examination.part,),
    )


def resample(
    inputs: StageInputs, parameters: ResampleParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with all images and its label map at another spacing.

    Finer images are averaged down; labels are those at the new voxel centers.
    """
    case = inputs.case()
    images: dict[str, DataFile] = {}
    for name, file in case.images.items():
        volume = resample_to_spacing(read_volume(file.path), parameters.spacing_mm, antialias=True)
        write_volume(context.folder / f"{name}.nii.gz", volume)
        images[name] = context.own_file(f"{name}.nii.gz")
    changed = replace(case, images=images)
    if case.label_map is None:
        return (changed,)
    geometry = read_volume(changed.image.path).geometry
    labels = resample_labels_to(read_case_labels(case), geometry)
    return (with_labels(changed, labels, context),)


def keep_largest(
    inputs: StageInputs, parameters: KeepLargestParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the largest piece of each organ; a case without labels as it is."""
    case = inputs.case()
    if case.label_map is None:
        return (case,)
    label_map = read_case_labels(case)
    table = organ_table()
    chosen = table.subset(parameters.organs) if parameters.organs else table
    array = keep_largest_components(label_map.array, chosen.values)
    labels = LabelMap(array, label_map.geometry, label_map.labels)
    return (with_labels(case, labels, context),)


_EACH_CASE = {"cases": Slot(CASES)}

IMAGE_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "phantom-cohort": Stage(1, PhantomCohortParameters, phantom_cohort, CASES),
        "resample": Stage(1, ResampleParameters, resample, CASES, _EACH_CASE, CASE),
        "keep-largest": Stage(1, KeepLargestParameters, keep_largest, CASES, _EACH_CASE, CASE),
    }
)
"""Joined to STAGES."""
