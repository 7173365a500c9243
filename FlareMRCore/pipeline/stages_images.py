"""Stages that make or change images and label maps, without networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.imaging.components import keep_largest_components
from FlareMRCore.imaging.resampling import resample_labels_to, resample_to_spacing
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs

LABELS_NAME = "labels.nii.gz"
TRAIN, TEST = "default/train", "default/test"


@dataclass(frozen=True, slots=True)
class PhantomCohortParameters:
    """A cohort of synthetic abdomens; every person is another one.

    Attributes:
        ct_cases: CT with labels, domain source, part default/train.
        mr_cases: MR without labels, domain target, part default/train.
        test_cases: MR with labels, domain target, part default/test.
        sequences: MR sequences, taken in turn.
        spacing_mm: isotropic voxel size.
        first_seed: of the first person; the others follow.
    """

    ct_cases: int = 8
    mr_cases: int = 0
    test_cases: int = 2
    sequences: tuple[str, ...] = (
        "venous", "t2_fs", "t1_in", "t2", "t1_out", "arterial", "dwi", "delay",
    )  # fmt: skip
    spacing_mm: float = 3.0
    first_seed: int = 1000


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
    plan = tuple(_people(parameters))
    cases = []
    for number, (sequence, part, is_labeled) in enumerate(plan):
        context.reporter.advance("phantoms", number, len(plan))
        seed = parameters.first_seed + number
        cases.append(_phantom(seed, sequence, part, is_labeled, parameters, context))
    return tuple(cases)


def _people(parameters: PhantomCohortParameters) -> Iterator[tuple[str, str, bool]]:
    """Sequence, part and whether there are labels, for each person."""
    yield from (("ct", TRAIN, True),) * parameters.ct_cases
    for number in range(parameters.mr_cases + parameters.test_cases):
        sequence = parameters.sequences[number % len(parameters.sequences)]
        is_test = number >= parameters.mr_cases
        yield sequence, TEST if is_test else TRAIN, is_test


def _phantom(
    seed: int,
    sequence: str,
    part: str,
    is_labeled: bool,  # noqa: FBT001
    parameters: PhantomCohortParameters,
    context: StageContext,
) -> RecipeCase:
    geometry = phantom_geometry(parameters.spacing_mm)
    volume, label_map = make_phantom(seed, sequence, geometry=geometry)
    case_id = f"phantom-{seed}-{sequence}"
    folder = context.folder / case_id
    folder.mkdir()
    write_volume(folder / f"{sequence}.nii.gz", volume)
    labels = None
    if is_labeled:
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
        annotated=tuple(label.id for label in organ_table()) if labels else (),
        parts=(part,),
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
    labels = resample_labels_to(read_label_map(case.label_map.path), geometry)
    return (_with_labels(changed, labels, context),)


def keep_largest(
    inputs: StageInputs, parameters: KeepLargestParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """The case with the largest piece of each organ; a case without labels as it is."""
    case = inputs.case()
    if case.label_map is None:
        return (case,)
    label_map = read_label_map(case.label_map.path)
    table = organ_table()
    chosen = table.subset(parameters.organs) if parameters.organs else table
    array = keep_largest_components(label_map.array, chosen.values)
    labels = LabelMap(array, label_map.geometry, label_map.labels)
    return (_with_labels(case, labels, context),)


def _with_labels(case: RecipeCase, label_map: LabelMap, context: StageContext) -> RecipeCase:
    write_label_map(context.folder / LABELS_NAME, label_map)
    return replace(case, label_map=context.own_file(LABELS_NAME))
