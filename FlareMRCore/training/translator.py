"""A trained translator applied to whole volumes: slice by slice, or in overlapping patches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.darnet import SMALLEST_IMAGE, DARNet
from FlareMRCore.training.checkpoint import load_checkpoint
from FlareMRCore.training.translation import generating_networks
from FlareMRCore.training.translation_parameters import (
    TranslationImageRange,
    TranslatorDescription,
)

Apply = Callable[[Tensor], Tensor]
STEP = 4
"""Axes that the networks see are multiples of this."""
SMALLEST_PATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Translator:
    """Trained networks and what they are."""

    description: TranslatorDescription
    networks: nn.ModuleDict
    device: torch.device


def load_translator(path: Path, device: torch.device) -> Translator:
    """The translator that `train_translation` saved.

    Raises:
        WeightsError: the file is not readable.
    """
    content = load_checkpoint(path)
    description = TranslatorDescription(**content["description"])
    networks = generating_networks(description)
    networks.load_state_dict({name: value.float() for name, value in content["state_dict"].items()})
    return Translator(description, networks.to(device).eval(), device)


def translate_volume(
    translator: Translator,
    array: NDArray[np.float32],
    *,
    to: str = "target",
    style: NDArray[np.float32] | None = None,
    window: Sequence[int] = (48, 160, 160),
    stride: Sequence[int] = (32, 32, 32),
) -> NDArray[np.float32]:
    """The volume (K, J, I), values -1 to 1, as the other domain shows it; same grid.

    Args:
        translator: see `load_translator`.
        array: volume to translate.
        to: domain, "target" or "source".
        style: what all slices take (DARNet): a code (8,) of `style_codes`, or a slice (J, I) of
            that domain.
        window: patch of 3-D translators.
        stride: from patch to patch.

    Raises:
        UsageError: DARNet without a style.
    """
    if translator.description.family == "darnet":
        if style is None:
            raise UsageError(
                "DARNet needs an image whose style the result shall have.",
                code="usage.style",
                hint="Give a slice of the other domain, e.g. the middle one of a volume.",
            )
        if style.ndim == 2:
            (style,) = style_codes(translator, style[None], to)
        return _in_style(translator, array, style)
    network = translator.networks[f"to_{to}"]
    if translator.description.dimensions == 2:
        return translate_slices(array, network, device=translator.device)
    return translate_patches(array, network, window=window, stride=stride, device=translator.device)


def style_codes(
    translator: Translator, slices: NDArray[np.float32], domain: str = "target"
) -> NDArray[np.float32]:
    """Style (n, 8) of each of the slices (n, J, I), values -1 to 1, of a domain.

    Raises:
        UsageError: the translator has no styles.
    """
    network = _darnet(translator)
    codes = []
    with torch.inference_mode():
        for one in torch.from_numpy(np.ascontiguousarray(slices))[:, None, None]:
            x = _padded(one.to(translator.device), SMALLEST_IMAGE)
            codes.append(network.style_of(x, domain).float().cpu())
    return np.asarray(torch.cat(codes).numpy(), dtype=np.float32)


def translate_slices(
    array: NDArray[np.float32], apply: Apply, *, device: torch.device, batch_size: int = 8
) -> NDArray[np.float32]:
    """Each slice (J, I) of the volume through `apply`, which maps (B, 1, J, I) to the same shape.

    Slices are continued by their border to multiples of 4 and at least 64 pixels.
    """
    slices = torch.from_numpy(np.ascontiguousarray(array))[:, None]
    parts = []
    with torch.inference_mode():
        for batch in torch.split(slices, batch_size):
            x = batch.to(device)
            padded = _padded(x, SMALLEST_IMAGE)
            parts.append(apply(padded)[..., : x.shape[-2], : x.shape[-1]].float().cpu())
    return np.asarray(torch.cat(parts)[:, 0].numpy(), dtype=np.float32)


def translate_patches(
    array: NDArray[np.float32],
    apply: Apply,
    *,
    window: Sequence[int],
    stride: Sequence[int],
    device: torch.device,
) -> NDArray[np.float32]:
    """Overlapping patches of the volume through `apply`, plain mean where they overlap.

    Patches start at multiples of the stride; the last one along each axis ends with the volume.
    Source: He et al., FLARE 2024 task 3.
    """
    x = _padded(torch.from_numpy(np.ascontiguousarray(array))[None, None], SMALLEST_PATCH)
    shape = x.shape[2:]
    sizes = [min(n, w) // STEP * STEP for n, w in zip(shape, window, strict=True)]
    total, count = torch.zeros(shape), torch.zeros(shape)
    starts = [_starts(n, w, s) for n, w, s in zip(shape, sizes, stride, strict=True)]
    with torch.inference_mode():
        for corner in itertools.product(*starts):
            k, j, i = (slice(a, a + w) for a, w in zip(corner, sizes, strict=True))
            patch = x[:, :, k, j, i].contiguous().to(device)
            total[k, j, i] += apply(patch)[0, 0].float().cpu()
            count[k, j, i] += 1
    depth, height, width = array.shape
    return np.asarray((total / count)[:depth, :height, :width].numpy(), dtype=np.float32)


def to_unit_range(array: NDArray[np.float32], limits: TranslationImageRange) -> NDArray[np.float32]:
    """The image clipped and mapped to -1 ... 1; a constant image becomes -1."""
    low = float(array.min()) if limits.low is None else limits.low
    high = float(np.percentile(array, limits.percentile)) if limits.high is None else limits.high
    share = (np.clip(array, low, high) - low) / max(high - low, 1e-6)
    return np.asarray(share * 2 - 1, dtype=np.float32)


def _in_style(
    translator: Translator, array: NDArray[np.float32], style: NDArray[np.float32]
) -> NDArray[np.float32]:
    network, code = _darnet(translator), torch.from_numpy(style)[None].to(translator.device)

    def apply(x: Tensor) -> Tensor:
        drawn: Tensor = network(x, code.expand(len(x), -1))
        return drawn

    return translate_slices(array, apply, device=translator.device)


def _darnet(translator: Translator) -> DARNet:
    network = dict(translator.networks.items()).get("translator")
    if not isinstance(network, DARNet):
        raise UsageError("This translator has no styles.", code="usage.style")
    return network


def _padded(x: Tensor, smallest: int) -> Tensor:
    """Continued by the border at the end of each axis."""
    padding: list[int] = []
    for n in reversed(x.shape[2:]):
        padding += [0, max(smallest, -(-n // STEP) * STEP) - n]
    return functional.pad(x, padding, mode="replicate") if any(padding) else x


def _starts(length: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, length - window, stride))
    return [*starts, length - window]
