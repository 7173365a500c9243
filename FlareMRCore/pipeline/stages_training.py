"""Stages around the training of a segmentation network: pack, train, export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError, RecipeError
from FlareMRCore.pipeline.artifacts import NOTES, digest_of
from FlareMRCore.pipeline.case_labels import require_allowed_labels
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import (
    CASES,
    MODEL,
    NETWORK,
    PACK,
    Slot,
    Stage,
    StageContext,
    StageInputs,
    Surroundings,
    TrainingPlan,
)
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.training.pack_sources import PackGroup, build_pack, group_files, load_groups
from FlareMRCore.training.parameters import TrainingParameters

WEIGHTS_NAME = "weights.pt"
PARAMETERS_NAME = "training.json"
NETWORK_NAME = "network.json"
"""How a network that was trained on pools wants to be fed."""


@dataclass(frozen=True, slots=True)
class PackParameters:
    """Which cases a training samples from, at which spacing.

    Attributes:
        spacing_mm: isotropic.
        groups: lists of files in ``resources/training``, without ``.toml``; their patterns start
            from the data folder. Cases that the recipe hands in come in addition.
        target_labels: take manual labels of target cases too, which adaptation must not see.
    """

    spacing_mm: float
    groups: tuple[str, ...] = ()
    target_labels: bool = False


def pack(
    inputs: StageInputs, parameters: PackParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """A training pack of the labeled cases and of the groups; it is the whole artifact.

    Raises:
        DatasetError: there is nothing to pack, a file is missing, or a target case has labels.
    """
    cases = [case for case in inputs.cases.get("cases", ()) if case.label_map is not None]
    groups = _groups(parameters)
    if not cases and not groups:
        raise DatasetError(
            "There is nothing to pack: no group, and no case with labels.",
            code="recipe.no-cases",
            hint="Give the stage 'groups' or an input of labeled cases.",
        )
    for number, case in enumerate(cases):
        context.reporter.advance("pack", number, len(cases))
        if not parameters.target_labels:
            require_allowed_labels(case)
        _pack_case(case, parameters, context)
    if groups:
        surroundings = Surroundings(lambda path: "", context.data)
        build_pack(
            groups,
            surroundings.data_folder("This stage"),
            context.folder,
            spacing_mm=parameters.spacing_mm,
            reporter=context.reporter,
        )
    return ()


def group_digests(parameters: PackParameters, surroundings: Surroundings) -> Mapping[str, str]:
    """Digests of the groups' entries and of all files that they name."""
    found: dict[str, str] = {}
    for group in _groups(parameters):
        found[f"group:{group.name}"] = digest_of(asdict(group))
        if group.kind == "phantom":
            continue
        data = surroundings.data_folder(f"Group '{group.name}'")
        for path in group_files(group, data):
            found[path.relative_to(data).as_posix()] = surroundings.digest(path)
    return found


def train(
    inputs: StageInputs, parameters: TrainingParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """weights.pt and the parameters; the curve is a note. Continues from ``context.work``."""
    from FlareMRCore.training.initial_weights import initial_state
    from FlareMRCore.training.pack import load_pack
    from FlareMRCore.training.segmentation import train_segmentation, training_device

    start = inputs.folder("initial")
    weights = train_segmentation(
        tuple(case for folder in inputs.folders["packs"] for case in load_pack(folder)),
        parameters,
        context.work,
        reporter=context.reporter,
        device=training_device(context.device, threads=context.threads),
        initial=initial_state(start / WEIGHTS_NAME, parameters.builder) if start else None,
    )
    keep_training(weights, context, PARAMETERS_NAME, asdict(parameters))
    return ()


def keep_training(
    trained: Path, context: StageContext, parameters_name: str, parameters: Mapping[str, object]
) -> None:
    """Make what a training has left the stage's: `trained`, its parameters; the curve is a note."""
    from FlareMRCore.training.curves import CURVE_NAME

    shutil.copyfile(trained, context.folder / trained.name)
    write_json_atomically(context.folder / parameters_name, parameters)
    (context.folder / NOTES).mkdir()
    shutil.copyfile(context.work / CURVE_NAME, context.folder / NOTES / CURVE_NAME)


def training_plan(parameters: TrainingParameters) -> TrainingPlan:
    """Network, largest patch and steps."""
    largest = max(parameters.sampling.shapes, key=lambda shape: shape[0] * shape[1] * shape[2])
    return TrainingPlan(parameters.builder, largest, parameters.steps)


def export_weights(
    inputs: StageInputs, parameters: ModelDescription, context: StageContext
) -> tuple[RecipeCase, ...]:
    """A model folder for ``segment --weights``; each network as it was trained.

    Networks of "train-pools" are the coarse one if they learned the foreground, the one for
    tumors, or else the fine one; others have the role of their builder.

    Raises:
        UsageError: two networks have one role.
    """
    from FlareMRCore.training.model_folder import own_networks, write_networks
    from FlareMRCore.training.pool_export import read_pool_training, trained_network

    folders = inputs.folders["networks"]
    pooled = {f: read_pool_training(f / NETWORK_NAME) for f in folders if _is_pooled(f)}
    packed = tuple(folder for folder in folders if folder not in pooled)
    networks = own_networks(
        tuple(folder / WEIGHTS_NAME for folder in packed),
        spacings_mm=dict(_spacing_mm(folder) for folder in packed),
    )
    networks += tuple(
        trained_network(folder / WEIGHTS_NAME, training, parameters.feeding)
        for folder, training in pooled.items()
    )
    modalities = {name for training in pooled.values() for name in training.modalities}
    write_networks(
        networks,
        context.folder,
        parameters,
        modalities=tuple(sorted(modalities)) if not packed else ("MR",),
    )
    return ()


def _is_pooled(folder: Path) -> bool:
    return (folder / NETWORK_NAME).is_file()


def _groups(parameters: PackParameters) -> tuple[PackGroup, ...]:
    return tuple(group for name in parameters.groups for group in _group_list(name))


def _group_list(name: str) -> Iterator[PackGroup]:
    resource = files("FlareMRCore").joinpath(f"resources/training/{name}.toml")
    if not resource.is_file():
        raise RecipeError(f"There is no list of groups '{name}'.", code="recipe.groups")
    with as_file(resource) as path:
        yield from load_groups(path)


def _pack_case(case: RecipeCase, parameters: PackParameters, context: StageContext) -> None:
    from FlareMRCore.training.pack import CaseDescription, allowed_classes, pack_case, save_case

    unknown = tuple(label.value for label in organ_table() if label.id not in case.annotated)
    description = CaseDescription(
        case.case_id, "ct" if case.modality == "CT" else "mr", allowed_classes(unknown, {})
    )
    labels = case.label_map
    if labels is None:
        raise DatasetError(f"Case '{case.case_id}' has no labels.", code="recipe.no-labels")
    packed = pack_case(
        description,
        read_volume(case.image.path),
        read_label_map(labels.path),
        spacing_mm=parameters.spacing_mm,
    )
    save_case(packed, context.folder)


def _spacing_mm(network: Path) -> tuple[str, float]:
    """Builder and training spacing of a trained network."""
    content = json.loads((network / PARAMETERS_NAME).read_text(encoding="utf-8"))
    return content["builder"], float(content["sampling"]["spacing_mm"])


TRAINING_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "pack": Stage(
            1,
            PackParameters,
            pack,
            PACK,
            {"cases": Slot(CASES, many=True, required=False)},
            external=group_digests,
        ),
        "train-segmentation": Stage(
            4,
            TrainingParameters,
            train,
            NETWORK,
            {"packs": Slot(PACK, many=True), "initial": Slot(NETWORK, required=False)},
            resumable=True,
            common=True,
            training=training_plan,
        ),
        "export-weights": Stage(
            1, ModelDescription, export_weights, MODEL, {"networks": Slot(NETWORK, many=True)}
        ),
    }
)
"""Joined to STAGES."""
