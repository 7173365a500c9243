"""The stage that trains any network on pools of cases: labeled, partial, pseudo, unlabeled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.binding import bind_table
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError, RecipeError, UsageError
from FlareMRCore.pipeline.case_labels import (
    read_case_labels,
    require_allowed_labels,
    structure_values,
    without_labels,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import (
    CASES,
    NETWORK,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    TrainingPlan,
)
from FlareMRCore.pipeline.stages_training import (
    NETWORK_NAME,
    PARAMETERS_NAME,
    WEIGHTS_NAME,
    keep_training,
)
from FlareMRCore.training.pool_parameters import (
    UNLABELED,
    VALIDATION,
    PoolTrainingParameters,
)
from FlareMRCore.training.pool_preparation import PoolPreparation
from FlareMRCore.training.pool_targets import Target

if TYPE_CHECKING:
    from FlareMRCore.training.patches import TrainingCase
    from FlareMRCore.training.pool_cases import CaseImages

POOLS = ("labeled", "partial", "pseudo", UNLABELED)
"""Inputs that batches are composed of, see `BatchComposition`."""


@dataclass(frozen=True, slots=True)
class PoolStageParameters:
    """What a network learns from which images.

    Attributes:
        training: network, patches, batches, loss and optimizer.
        preparation: grid, region and intensities of the images.
        target: what the labels mean to the network.
        target_labels: take manual labels of target cases too, which adaptation must not see.
        validation_share: share of the patients of each pool with labels that nothing is learned
            from: the best weights are chosen on them. A pool of one patient keeps it.
    """

    training: PoolTrainingParameters
    preparation: PoolPreparation
    target: Target = field(default_factory=Target)
    target_labels: bool = False
    validation_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise UsageError("validation_share is 0 or more, and below 1.", code="usage.share")


def train_network(
    inputs: StageInputs, parameters: PoolStageParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """weights.pt, training.json and network.json; the curve is a note. Resumes from the work.

    Structures that a case does not list as annotated are masked: its background may hide them.
    Labels of the pool "unlabeled" are not opened. Cases without labels are left out of the others.

    Raises:
        DatasetError: a target case comes with labels that no model made, a pool of the batches
            has no cases, or images and labels do not fit.
        RecipeError: an input that no batch takes from.
    """
    from FlareMRCore.training.initial_weights import initial_state
    from FlareMRCore.training.pool_cases import branch_classes
    from FlareMRCore.training.pool_training import train_pools
    from FlareMRCore.training.segmentation import training_device

    pools = _pools(inputs, parameters)
    preparation = _fitted(pools, parameters, context)
    builder = parameters.training.builder
    training = replace(
        parameters.training, branch_classes=branch_classes(parameters.target, builder)
    )
    start = inputs.folder("initial")
    weights = train_pools(
        _prepared(pools, replace(parameters, preparation=preparation), context),
        training,
        context.work,
        reporter=context.reporter,
        device=training_device(context.device, threads=context.threads),
        initial=initial_state(start / WEIGHTS_NAME, builder) if start else None,
    )
    keep_training(weights, context, PARAMETERS_NAME, asdict(parameters))
    modalities = sorted({case.modality for cases in pools.values() for case in cases})
    write_network_file(
        context.folder,
        builder,
        training.patch_shape,
        preparation,
        parameters.target,
        tuple(modalities),
    )
    return ()


def write_network_file(
    folder: Path,
    builder: str,
    patch_shape: tuple[int, ...],
    preparation: PoolPreparation,
    target: Target,
    modalities: tuple[str, ...],
) -> None:
    """How the network of `folder` was fed, for the stage that exports it; see `PoolTraining`."""
    content = {
        "builder": builder,
        "patch_shape": patch_shape,
        "preparation": asdict(preparation),
        "target": asdict(target),
        "modalities": modalities,
    }
    write_json_atomically(folder / NETWORK_NAME, content)


def pool_training_plan(parameters: PoolStageParameters) -> TrainingPlan:
    """Network, patch, steps and batch."""
    training = parameters.training
    return TrainingPlan(
        training.builder,
        training.patch_shape,
        training.trainer.steps,
        training.composition.size,
    )


def _pools(
    inputs: StageInputs, parameters: PoolStageParameters
) -> dict[str, tuple[RecipeCase, ...]]:
    """Cases of each pool that is given, with labels unless the pool has none."""
    taken = {pool for pool, count in parameters.training.composition.shares if count}
    pools: dict[str, tuple[RecipeCase, ...]] = {}
    for slot, cases in inputs.cases.items():
        if slot not in (*taken, VALIDATION):
            raise RecipeError(
                f"Input '{slot}' is given, but training.composition.shares does not name it.",
                code="recipe.pool",
                hint="Add it there, or leave the input out.",
            )
        if slot == UNLABELED:
            pools[slot] = tuple(without_labels(case) for case in cases)
            continue
        pools[slot] = tuple(case for case in cases if case.label_map is not None)
        for case in pools[slot] if not parameters.target_labels else ():
            require_allowed_labels(case)
    empty = sorted(pool for pool in taken if not pools.get(pool))
    if empty:
        raise DatasetError(
            f"Batches take cases from {', '.join(empty)}, and there are none.",
            code="recipe.no-cases",
            hint="Give the input, or change training.composition.shares.",
        )
    return _held_out(pools, parameters)


def _held_out(
    pools: Mapping[str, tuple[RecipeCase, ...]], parameters: PoolStageParameters
) -> dict[str, tuple[RecipeCase, ...]]:
    """The pools without the patients of the validation, and those as a pool of their own."""
    if not parameters.validation_share:
        return dict(pools)
    found = dict(pools)
    held = list(pools.get(VALIDATION, ()))
    for pool, cases in pools.items():
        patients = sorted({case.patient_id for case in cases})
        if pool in (UNLABELED, VALIDATION) or len(patients) < 2:
            continue
        rng = np.random.default_rng([parameters.training.trainer.seed, len(patients)])
        count = max(1, round(parameters.validation_share * len(patients)))
        chosen = set(rng.permutation(patients)[: min(count, len(patients) - 1)].tolist())
        held += [case for case in cases if case.patient_id in chosen]
        found[pool] = tuple(case for case in cases if case.patient_id not in chosen)
    return {**found, VALIDATION: tuple(held)} if held else found


def _prepared(
    pools: Mapping[str, tuple[RecipeCase, ...]],
    parameters: PoolStageParameters,
    context: StageContext,
) -> dict[str, tuple[TrainingCase, ...]]:
    """Cases of each pool as the network sees them, kept in the work folder."""
    from FlareMRCore.training.pool_cases import load_training_case

    total, done = sum(map(len, pools.values())), 0
    found: dict[str, list[TrainingCase]] = {}
    for pool, cases in pools.items():
        found[pool] = []
        for number, case in enumerate(cases):
            context.reporter.advance("prepare", done, total)
            done += 1
            folder = context.work / "cases" / pool / f"{number:05d}"
            _prepare_once(case, number, parameters, folder)
            found[pool] += [load_training_case(copy) for copy in sorted(folder.iterdir())]
    return {pool: tuple(cases) for pool, cases in found.items()}


def _prepare_once(
    case: RecipeCase, number: int, parameters: PoolStageParameters, folder: Path
) -> None:
    """Fill `folder` unless it is there; it appears as a whole."""
    from FlareMRCore.training.pool_cases import prepare_cases, save_training_case

    if folder.is_dir():
        return
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    cases = prepare_cases(
        _read(case),
        parameters.preparation,
        parameters.target,
        parameters.training.builder,
        seed=(parameters.training.trainer.seed, number),
    )
    for copy, prepared in enumerate(cases):
        save_training_case(prepared, part / f"{copy:03d}")
    part.replace(folder)


def _fitted(
    pools: Mapping[str, tuple[RecipeCase, ...]],
    parameters: PoolStageParameters,
    context: StageContext,
) -> PoolPreparation:
    """The preparation with the numbers of fitted normalizations, found once."""
    preparation = parameters.preparation
    rules = (preparation.normalization, preparation.ct_normalization)
    if not any(rule is not None and rule.rule == "fitted" for rule in rules):
        return preparation
    path = context.work / "fitted.json"
    if not path.is_file():
        found = _fit(pools, preparation, context)
        context.work.mkdir(parents=True, exist_ok=True)
        write_json_atomically(path, {name: asdict(how) for name, how in found.items()})
    content = json.loads(path.read_text(encoding="utf-8"))
    ct_content = content.get("ct_normalization")
    return replace(
        preparation,
        normalization=_normalization(content["normalization"]),
        ct_normalization=_normalization(ct_content) if ct_content else None,
    )


def _fit(
    pools: Mapping[str, tuple[RecipeCase, ...]],
    preparation: PoolPreparation,
    context: StageContext,
) -> dict[str, Normalization]:
    """Normalizations with the numbers of all annotated voxels, CT apart if it has its own."""
    from FlareMRCore.imaging.normalization import annotated_sample, fitted

    samples: dict[bool, list[NDArray[np.float32]]] = {True: [], False: []}
    labeled = [c for pool, cases in pools.items() if pool != UNLABELED for c in cases]
    for number, case in enumerate(labeled):
        context.reporter.advance("fit", number, len(labeled))
        images = _read(case)
        if images.label_map is not None:
            sample = annotated_sample(images.volume.array, images.label_map.array)
            samples[images.is_ct and preparation.ct_normalization is not None].append(sample)
    found = {"normalization": fitted(preparation.normalization, samples[False])}
    if preparation.ct_normalization is not None:
        found["ct_normalization"] = fitted(preparation.ct_normalization, samples[True])
    return found


def _normalization(table: Mapping[str, object]) -> Normalization:
    value, mistakes = bind_table(table, Normalization)
    if value is None:
        raise RecipeError(f"A normalization is damaged: {mistakes}.", code="recipe.fitted")
    return value


def _read(case: RecipeCase) -> CaseImages:
    from FlareMRCore.training.pool_cases import CaseImages

    volume, is_ct = read_volume(case.image.path), case.modality == "CT"
    if case.label_map is None:
        return CaseImages(case.case_id, volume, is_ct)
    annotated = structure_values(case.annotated)
    return CaseImages(case.case_id, volume, is_ct, read_case_labels(case), annotated)


_CASE_SLOTS = {pool: Slot(CASES, many=True, required=False) for pool in (*POOLS, VALIDATION)}

POOL_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "train-pools": Stage(
            1,
            PoolStageParameters,
            train_network,
            NETWORK,
            {**_CASE_SLOTS, "initial": Slot(NETWORK, required=False)},
            resumable=True,
            common=True,
            training=pool_training_plan,
        ),
    }
)
