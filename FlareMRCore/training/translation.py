"""Training of image translators between two domains without pairs: CycleGAN and DARNet.

In every step the discriminators are updated first, then the generators, from one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.cyclegan import PatchDiscriminator, ResnetGenerator
from FlareMRCore.networks.darnet import (
    CONTENT_STEP,
    WIDTH,
    ContentDiscriminator,
    DARNet,
    ImageDiscriminator,
    style_depth,
)
from FlareMRCore.progress import Reporter
from FlareMRCore.training.augmentation import apply_augmentation, draw_augmentation
from FlareMRCore.training.augmentation_parameters import augmentation_named
from FlareMRCore.training.batch_composition import ItemDraw, draw_items
from FlareMRCore.training.checkpoint import save_checkpoint
from FlareMRCore.training.distributed import Processes, process_group
from FlareMRCore.training.learning_parameters import BatchComposition
from FlareMRCore.training.patches import TrainingCase, patch_start, take_patch
from FlareMRCore.training.trainer import (
    Batch,
    Objective,
    ParameterGroup,
    TrainingState,
    TrainingTask,
    train,
)
from FlareMRCore.training.translation_losses import translation_objectives
from FlareMRCore.training.translation_parameters import (
    TranslationParameters,
    TranslatorDescription,
)

DOMAINS = ("source", "target")
GENERATING = ("to_", "translator.")
JUDGING = ("judge_",)
CYCLEGAN_WIDTH = 64
TRANSLATOR_NAME = "translator.pt"


def train_translation(
    images: Mapping[str, tuple[NDArray[np.float32], ...]],
    parameters: TranslationParameters,
    folder: Path,
    *,
    reporter: Reporter,
    device: torch.device,
) -> Path:
    """Train and return the path of the saved translator, `folder`/translator.pt.

    A checkpoint in `folder` is continued, to the bit. Started by torchrun, processes share batches.

    Args:
        images: those of "source" and of "target", values -1 to 1: slices (J, I) for patches of
            two axes, volumes (K, J, I) for three.
        parameters: see `TranslationParameters`.
        folder: receives checkpoint.pt, curve.csv, curve.png and translator.pt.
        reporter: told of each step; cancelling saves a checkpoint first.
        device: where the networks run.

    Raises:
        UsageError: a domain has no images, images and patches differ in axes, or the checkpoint
            belongs to other parameters.
        WeightsError: a loss is no longer finite; the batch is kept beside the checkpoint.
    """
    _check(images, parameters)
    with process_group(device) as processes:
        task = _task(images, parameters, processes)
        state = train(task, parameters.trainer, folder, reporter=reporter, processes=processes)
        path = folder / TRANSLATOR_NAME
        if processes.is_writer:
            kept = {n: v.half().cpu() for n, v in state.items() if n.startswith(GENERATING)}
            description = asdict(_description(parameters))
            save_checkpoint(path, {"description": description, "state_dict": kept})
    return path


def generating_networks(description: TranslatorDescription) -> nn.ModuleDict:
    """The translating parts, with fresh weights.

    CycleGAN: "to_target" and "to_source"; DARNet: "translator".
    """
    if description.family == "darnet":
        steps = description.style_steps
        return nn.ModuleDict(
            {"translator": DARNet(DOMAINS, width=description.width, style_steps=steps)}
        )
    return nn.ModuleDict({f"to_{d}": _generator(description) for d in reversed(DOMAINS)})


def _generator(description: TranslatorDescription) -> ResnetGenerator:
    return ResnetGenerator(
        description.dimensions,
        width=description.width,
        blocks=description.blocks,
        padding="replicate" if description.dimensions == 3 else "reflect",
    )


def translation_networks(parameters: TranslationParameters) -> nn.ModuleDict:
    """Everything that learns: translators, and a judge for each domain (and for the content)."""
    description = _description(parameters)
    networks = generating_networks(description)
    width = description.width
    if parameters.family == "darnet":
        j, i = parameters.patch_shape
        judges: list[nn.Module] = [ImageDiscriminator((j, i), width=width) for _ in DOMAINS]
        maps = (j // CONTENT_STEP, i // CONTENT_STEP)
        networks["judge_content"] = ContentDiscriminator(maps, width=width)
    else:
        judges = [PatchDiscriminator(description.dimensions, width=width) for _ in DOMAINS]
    for domain, judge in zip(DOMAINS, judges, strict=True):
        networks[f"judge_{domain}"] = judge
    return networks


def _description(parameters: TranslationParameters) -> TranslatorDescription:
    published = WIDTH if parameters.family == "darnet" else CYCLEGAN_WIDTH
    return TranslatorDescription(
        parameters.family,
        len(parameters.patch_shape),
        parameters.width or published,
        parameters.blocks,
        style_depth(min(parameters.patch_shape)),
    )


def _task(
    images: Mapping[str, tuple[NDArray[np.float32], ...]],
    parameters: TranslationParameters,
    processes: Processes,
) -> TrainingTask:
    seed = parameters.trainer.seed
    torch.manual_seed(seed)
    networks = translation_networks(parameters).to(processes.device)
    composition = BatchComposition(tuple((domain, parameters.batch_size) for domain in DOMAINS))
    sizes = {domain: len(images[domain]) for domain in DOMAINS}

    def draw(step: int) -> Batch:
        items = draw_items(composition, sizes, processes, seed=seed, step=step)
        tensors = {
            domain: torch.stack(
                [_patch(images, i, parameters, processes.device) for i in items if i.pool == domain]
            )
            for domain in DOMAINS
        }
        return Batch(tensors, tuple(f"{item.pool}{item.case}" for item in items))

    def objectives(batch: Batch, state: TrainingState) -> Iterator[Objective]:
        return translation_objectives(batch, state, parameters)

    groups = {
        "discriminators": ParameterGroup(parameters.discriminators, JUDGING),
        "generators": ParameterGroup(parameters.generators, GENERATING),
    }
    return TrainingTask(networks, groups, draw, objectives, repr(parameters))


def _patch(
    images: Mapping[str, tuple[NDArray[np.float32], ...]],
    item: ItemDraw,
    parameters: TranslationParameters,
    device: torch.device,
) -> Tensor:
    """A random patch (1, ...) of an image, augmented; its surroundings are -1."""
    rng = np.random.default_rng(item.seed)
    array = images[item.pool][item.case]
    start = patch_start(TrainingCase("", array), parameters.patch_shape, rng, foreground=False)
    patch = take_patch(array, start, parameters.patch_shape, fill=-1.0)
    image = torch.from_numpy(patch).to(device)[None]
    augmentation = draw_augmentation(augmentation_named(parameters.augmentation), rng)
    changed, _ = apply_augmentation(image, image[:0].long(), augmentation)
    return changed.clamp(-1, 1)


def _check(
    images: Mapping[str, tuple[NDArray[np.float32], ...]], parameters: TranslationParameters
) -> None:
    axes = len(parameters.patch_shape)
    for domain in DOMAINS:
        shapes = {array.ndim for array in images.get(domain, ())}
        if shapes != {axes}:
            raise UsageError(
                f"Translation needs images of {axes} axes of domain '{domain}'; found "
                f"{len(images.get(domain, ()))} with {sorted(shapes)} axes.",
                code="usage.translation",
            )
    if parameters.family == "darnet" and axes != 2:
        raise UsageError("DARNet translates slices: give patches of 2 axes.", code="usage.patch")
