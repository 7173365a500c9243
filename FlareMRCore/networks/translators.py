"""TRANSLATORS: the parts of the published image translators by name, with literal numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.cyclegan import PatchDiscriminator, ResnetGenerator
from FlareMRCore.networks.darnet import (
    ContentDiscriminator,
    ContentEncoder,
    ImageDiscriminator,
    StyleDecoder,
    StyleEncoder,
)


@dataclass(frozen=True, slots=True)
class TranslatorEntry:
    """A part of a translator that can be built by name.

    Attributes:
        name: what recipes call it.
        build: makes it, with fresh weights.
        input_shapes: shape of each input it was designed for, without the batch axis.
        description: one line for people.
    """

    name: str
    build: Callable[[], nn.Module]
    input_shapes: tuple[tuple[int, ...], ...]
    description: str


def build_translator(name: str) -> nn.Module:
    """A new part with random weights, in training mode.

    Raises:
        UsageError: no such part; the message lists those there are.
    """
    if name not in TRANSLATORS:
        message = f"There is no translator '{name}'. Known: {', '.join(TRANSLATORS)}."
        raise UsageError(message, code="usage.network")
    return TRANSLATORS[name].build()


def he_generator() -> ResnetGenerator:
    """3-D generator of He et al. (34 111 489 parameters)."""
    return ResnetGenerator(3, padding="replicate")


def he_discriminator() -> PatchDiscriminator:
    """3-D discriminator of He et al. (11 047 873 parameters)."""
    return PatchDiscriminator(3)


def zhu_generator() -> ResnetGenerator:
    """2-D generator of CycleGAN, for Zhu et al. (11 365 633 parameters)."""
    return ResnetGenerator(2)


def zhu_discriminator() -> PatchDiscriminator:
    """2-D discriminator of CycleGAN, for Zhu et al. (2 762 689 parameters)."""
    return PatchDiscriminator(2)


def li_image_discriminator() -> ImageDiscriminator:
    """Image discriminator of Li et al. for slices of 512 pixels (5 218 851 parameters)."""
    return ImageDiscriminator((512, 512))


def li_content_discriminator() -> ContentDiscriminator:
    """Content discriminator of Li et al. for slices of 512 pixels (3 213 953 parameters)."""
    return ContentDiscriminator((128, 128))


_SLICE = (1, 512, 512)
_CONTENT = (128, 128, 128)
_PATCH = (1, 48, 160, 160)
_ENTRIES = (
    TranslatorEntry("li2024-content", ContentEncoder, (_SLICE,), "Li 2024, content encoder"),
    TranslatorEntry("li2024-style", StyleEncoder, (_SLICE,), "Li 2024, style encoder"),
    TranslatorEntry("li2024-decoder", StyleDecoder, (_CONTENT, (8,)), "Li 2024, decoder"),
    TranslatorEntry(
        "li2024-image-discriminator",
        li_image_discriminator,
        (_SLICE,),
        "Li 2024, image discriminator",
    ),
    TranslatorEntry(
        "li2024-content-discriminator",
        li_content_discriminator,
        (_CONTENT,),
        "Li 2024, content discriminator",
    ),
    TranslatorEntry(
        "zhu2024-generator", zhu_generator, ((1, 256, 256),), "Zhu 2024, CycleGAN generator"
    ),
    TranslatorEntry(
        "zhu2024-discriminator",
        zhu_discriminator,
        ((1, 256, 256),),
        "Zhu 2024, CycleGAN discriminator",
    ),
    TranslatorEntry("he2024-generator", he_generator, (_PATCH,), "He 2024, 3-D generator"),
    TranslatorEntry(
        "he2024-discriminator", he_discriminator, (_PATCH,), "He 2024, 3-D discriminator"
    ),
)

TRANSLATORS: Mapping[str, TranslatorEntry] = MappingProxyType(
    {entry.name: entry for entry in _ENTRIES}
)
