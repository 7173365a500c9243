"""Losses of the image translators, in the order of their updates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from FlareMRCore.networks.darnet import DARNet
from FlareMRCore.training.checkpoint import State
from FlareMRCore.training.freezing import held_still
from FlareMRCore.training.gan_losses import (
    adversarial_loss,
    discriminator_loss,
    domain_loss,
    reconstruction_loss,
)
from FlareMRCore.training.trainer import Batch, Objective, TrainingState
from FlareMRCore.training.translation_parameters import TranslationParameters

Pair = tuple[Tensor, Tensor]


def translation_objectives(
    batch: Batch, state: TrainingState, parameters: TranslationParameters
) -> Iterator[Objective]:
    """Losses of the translator that `parameters` name, in the order of their updates."""
    losses = darnet_objectives if parameters.family == "darnet" else cyclegan_objectives
    return losses(batch, state, parameters)


def cyclegan_objectives(
    batch: Batch, state: TrainingState, parameters: TranslationParameters
) -> Iterator[Objective]:
    """Discriminators, then generators of CycleGAN.

    Source: Zhu J.-Y. et al., ICCV 2017; the images shown again of Shrivastava et al., CVPR 2017.
    """
    source, target = batch.tensors["source"], batch.tensors["target"]
    parts, kind = _parts(state), parameters.adversary
    to_source, to_target = parts["to_source"], parts["to_target"]
    judge_source, judge_target = parts["judge_source"], parts["judge_target"]
    fake_target, fake_source = to_target(source), to_source(target)
    shown_target = _shown_again("target", fake_target, state, parameters)
    shown_source = _shown_again("source", fake_source, state, parameters)
    judged = discriminator_loss(judge_target(target), judge_target(shown_target), kind)
    judged = judged + discriminator_loss(judge_source(source), judge_source(shown_source), kind)
    yield Objective("discriminators", 0.5 * judged)
    with held_still(judge_source, judge_target):
        fooled = adversarial_loss(judge_target(fake_target), kind, target=1.0)
        fooled = fooled + adversarial_loss(judge_source(fake_source), kind, target=1.0)
        cycle = reconstruction_loss(to_source(fake_target), source)
        cycle = cycle + reconstruction_loss(to_target(fake_source), target)
        loss = parameters.adversarial_weight * fooled + parameters.cycle_weight * cycle
        terms = {"adversarial": fooled, "cycle": cycle}
        if parameters.identity_weight:
            same = reconstruction_loss(to_target(target), target)
            same = same + reconstruction_loss(to_source(source), source)
            loss, terms["identity"] = loss + parameters.identity_weight * same, same
        yield Objective("generators", loss, terms)


def darnet_objectives(
    batch: Batch, state: TrainingState, parameters: TranslationParameters
) -> Iterator[Objective]:
    """Discriminators, then encoders and decoder of DARNet.

    Source: Yao et al., DAR-UNet, IEEE JBHI 2022; weights of Li et al., FLARE 2024 task 3.
    """
    source, target = batch.tensors["source"], batch.tensors["target"]
    parts, kind = _parts(state), parameters.adversary
    judge_source, judge_target = parts["judge_source"], parts["judge_target"]
    judge_content, net = parts["judge_content"], _darnet(parts)
    contents = net.content(source), net.content(target)
    styles = net.style_of(source, "source"), net.style_of(target, "target")
    fake_target = net.decoder(contents[0], styles[1])
    fake_source = net.decoder(contents[1], styles[0])
    judged = discriminator_loss(judge_target(target), judge_target(fake_target.detach()), kind)
    judged = judged + discriminator_loss(
        judge_source(source), judge_source(fake_source.detach()), kind
    )
    told = domain_loss(
        judge_content(contents[0].detach()), judge_content(contents[1].detach()), kind
    )
    yield Objective("discriminators", judged + told, {"content_told": told})
    with held_still(judge_source, judge_target, judge_content):
        fooled = adversarial_loss(judge_target(fake_target), kind, target=1.0)
        fooled = fooled + adversarial_loss(judge_source(fake_source), kind, target=1.0)
        hidden = domain_loss(judge_content(contents[1]), judge_content(contents[0]), kind)
        terms = _darnet_terms(net, (source, target), contents, styles, (fake_target, fake_source))
        loss = (
            parameters.adversarial_weight * (fooled + hidden)
            + parameters.reconstruction_weight * terms["reconstruction"]
            + parameters.cycle_weight * terms["cycle"]
            + parameters.code_weight * terms["codes"]
        )
        yield Objective("generators", loss, {"adversarial": fooled, **terms})


def _darnet_terms(
    net: DARNet, images: Pair, contents: Pair, styles: Pair, fakes: Pair
) -> dict[str, Tensor]:
    """Images from their own codes, there and back again, and codes found again.

    Args:
        net: encoders and decoder.
        images: of source and target; so are contents and styles.
        contents: of the images.
        styles: of the images.
        fakes: the source image in the target's style, and the reverse.
    """
    found = net.content(fakes[0]), net.content(fakes[1])
    cycles = net.decoder(found[0], styles[0]), net.decoder(found[1], styles[1])
    own = net.decoder(contents[0], styles[0]), net.decoder(contents[1], styles[1])
    # Fakes carry the style of the other domain.
    found_styles = net.style_of(fakes[1], "source"), net.style_of(fakes[0], "target")
    return {
        "reconstruction": _both(own, images),
        "cycle": _both(cycles, images),
        "codes": _both(found, contents) + _both(found_styles, styles),
    }


def _both(found: Pair, wanted: Pair) -> Tensor:
    return reconstruction_loss(found[0], wanted[0]) + reconstruction_loss(found[1], wanted[1])


def _parts(state: TrainingState) -> dict[str, nn.Module]:
    return dict(state.network.named_children())


def _darnet(parts: dict[str, nn.Module]) -> DARNet:
    translator = parts["translator"]
    if not isinstance(translator, DARNet):
        raise TypeError(f"The translator is a {type(translator).__name__}, not a DARNet.")
    return translator


def _shown_again(
    domain: str, fakes: Tensor, state: TrainingState, parameters: TranslationParameters
) -> Tensor:
    """Translated images for a discriminator: half of them are older ones, from the memory.

    While the memory is not full every image is kept and shown.
    """
    rng = np.random.default_rng([parameters.trainer.seed, state.step, int(domain == "target")])
    return torch.stack(
        [
            _exchange(f"{domain}_shown", image, state.memory, parameters.memory_size, rng)
            for image in fakes.detach()
        ]
    )


def _exchange(
    key: str, image: Tensor, memory: State, size: int, rng: np.random.Generator
) -> Tensor:
    kept = memory.get(key)
    if size == 0:
        return image
    if kept is None or len(kept) < size:
        memory[key] = image[None].clone() if kept is None else torch.cat((kept, image[None]))
        return image
    if rng.random() < 0.5:
        return image
    place = int(rng.integers(size))
    older = kept[place].clone()
    kept[place] = image
    return older
