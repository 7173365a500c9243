"""DARNet's translator: what an image shows (content) apart from how it looks (style), in 2-D.

One content encoder and one decoder serve all domains; each domain has a style encoder and an
image discriminator; the content discriminator guesses the domain from the content alone.

Source: Yao et al., DAR-UNet, IEEE JBHI 2022 (Kaiseem/DAR-UNet); Li et al., FLARE 2024 task 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.blocks import BlockStyle, ConvBlock, initialize_convolutions
from FlareMRCore.networks.shapes import check_minimum, check_multiple

STYLE_LENGTH = 8
STYLE_STEPS = 5
"""Strided steps of the published style encoder."""
SLOPE = 0.2
STYLE = BlockStyle(2, negative_slope=SLOPE)
WIDTH = 32
"""Features of the first layer in the published network."""
CONTENT_STEP = 4
"""The content has a quarter of the image's resolution."""
SMALLEST_IMAGE = 64
"""Shortest axis with which every norm of the style encoder still sees several values."""


class DARNet(nn.Module):
    """The generating parts: content encoder, one style encoder per domain, decoder.

    Args:
        domains: names of the domains, e.g. ``("ct", "mr")``.
        width: features of the first layer.
        style_steps: strided steps of the style encoders, see `style_depth`.
    """

    def __init__(
        self, domains: Sequence[str], *, width: int = WIDTH, style_steps: int = STYLE_STEPS
    ) -> None:
        super().__init__()
        self.content = ContentEncoder(width)
        self.styles = nn.ModuleDict(
            {domain: StyleEncoder(width, steps=style_steps) for domain in domains}
        )
        self.decoder = StyleDecoder(width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Images (B, 1, J, I) drawn in the styles (B, 8); values -1 to 1."""
        image: Tensor = self.decoder(self.content(x), style)
        return image

    def style_of(self, x: Tensor, domain: str) -> Tensor:
        """Styles (B, 8) of images (B, 1, J, I) of the named domain.

        Raises:
            UsageError: no such domain.
        """
        if domain not in self.styles:
            message = f"There is no domain '{domain}'. Known: {', '.join(self.styles)}."
            raise UsageError(message, code="network.domain")
        style: Tensor = self.styles[domain](x)
        return style


class ContentEncoder(nn.Module):
    """Image (B, 1, J, I) to content (B, 4 * width, J / 4, I / 4); axes are multiples of 4."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvBlock(1, width, style=STYLE, kernel=(7, 7)),
            ConvBlock(width, 2 * width, style=STYLE, kernel=(4, 4), stride=(2, 2)),
            ConvBlock(2 * width, 4 * width, style=STYLE, kernel=(4, 4), stride=(2, 2)),
            *(ContentBlock(4 * width) for _ in range(4)),
        )
        initialize_convolutions(self, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Content.

        Raises:
            InputError: an axis is not a multiple of 4.
        """
        check_multiple(tuple(x.shape[2:]), (CONTENT_STEP, CONTENT_STEP))
        content: Tensor = self.layers(x)
        return content


class StyleEncoder(nn.Module):
    """Image (B, 1, J, I) to style (B, 8).

    Args:
        width: features of the first layer.
        steps: strided convolutions, see `style_depth`.
    """

    def __init__(self, width: int = WIDTH, *, steps: int = STYLE_STEPS) -> None:
        super().__init__()
        widths = (width, 2 * width, *(4 * width,) * (steps - 1))
        self.layers = nn.Sequential(
            ConvBlock(1, width, style=STYLE, kernel=(7, 7)),
            *(
                ConvBlock(before, after, style=STYLE, kernel=(4, 4), stride=(2, 2))
                for before, after in pairwise(widths)
            ),
        )
        self.head = nn.Conv2d(widths[-1], STYLE_LENGTH, 1)
        initialize_convolutions(self, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Style.

        Raises:
            InputError: an axis is shorter than `SMALLEST_IMAGE`.
        """
        check_minimum(tuple(x.shape[2:]), SMALLEST_IMAGE)
        style: Tensor = self.head(self.layers(x).mean(dim=(2, 3), keepdim=True)).flatten(1)
        return style


class StyleDecoder(nn.Module):
    """Content and style (B, 8) to image (B, 1, J, I), values -1 to 1.

    A perceptron turns the style into offset and scale of every adaptive norm.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        deep = 4 * width
        self.blocks = nn.ModuleList(AdaptiveBlock(deep) for _ in range(4))
        self.up1 = nn.Conv2d(deep, 2 * width, 5, padding=2)
        self.up2 = nn.Conv2d(2 * width, width, 5, padding=2)
        self.head = nn.Conv2d(width, 1, 7, padding=3)
        # Two numbers per feature: two norms in each of four blocks, then one at each width.
        self.sizes = [2 * deep] * 9 + [4 * width, 2 * width]
        self.perceptron = nn.Sequential(
            nn.Linear(STYLE_LENGTH, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, sum(self.sizes)),
        )
        initialize_convolutions(self, 0.0)
        for layer in self.perceptron:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Image with four times the content's resolution."""
        norms = self.perceptron(style).split(self.sizes, dim=1)
        x = content
        for block, first, second in zip(self.blocks, norms[0:8:2], norms[1:8:2], strict=True):
            x = block(x, first, second)
        x = _activate(adaptive_norm(x, norms[8]))
        x = _activate(adaptive_norm(self.up1(_double(x)), norms[9]))
        x = _activate(adaptive_norm(self.up2(_double(x)), norms[10]))
        return torch.tanh(self.head(x))


class ContentBlock(nn.Module):
    """Twice norm, rectifier and convolution, added to the input; variance kept by 1/sqrt(2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_pre_activated(channels), *_pre_activated(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        total: Tensor = (self.layers(x) + x) / sqrt(2.0)
        return total


class AdaptiveBlock(nn.Module):
    """As `ContentBlock`, with adaptive norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Features of the same shape; `first` and `second` as in `adaptive_norm`."""
        y = self.conv1(_activate(adaptive_norm(x, first)))
        y = self.conv2(_activate(adaptive_norm(y, second)))
        total: Tensor = (y + x) / sqrt(2.0)
        return total


class ImageDiscriminator(nn.Module):
    """Scores of how real an image looks, at three scales; as deep as the image allows.

    Each scale has up to five strided convolutions (all five from 256 pixels on).
    Shape: (B, 1, J, I) to three maps of scores, without sigmoid.

    Args:
        image_shape: pixels (J, I) of the images it will see.
        width: features of the first layer.
    """

    def __init__(self, image_shape: tuple[int, int], *, width: int = WIDTH) -> None:
        super().__init__()
        shortest = min(image_shape)
        sizes = (shortest, -(-shortest // 2), -(-shortest // 4))
        self.scales = nn.ModuleList(_score_layers(width, image_depth(size)) for size in sizes)
        initialize_convolutions(self, 0.0)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores, finest scale first."""
        scores: list[Tensor] = []
        for scale in self.scales:
            scores.append(scale(x))
            x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return scores


class ContentDiscriminator(nn.Module):
    """Scores of which domain a content comes from; as deep as the content map allows.

    Up to four 7x7 steps (all four from 123 pixels on), without padding.
    Shape: (B, 4 * width, J, I) to a map of scores, without sigmoid.

    Args:
        map_shape: pixels (J, I) of the content maps it will see, a quarter of the image's.
        width: as that of the content encoder.
    """

    def __init__(self, map_shape: tuple[int, int], *, width: int = WIDTH) -> None:
        super().__init__()
        channels = 4 * width
        layers: list[nn.Module] = []
        for _ in range(content_depth(min(map_shape))):
            layers += [nn.Conv2d(channels, channels, 7, 2)]
            layers += [nn.InstanceNorm2d(channels, affine=True), nn.LeakyReLU(SLOPE, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 3))
        initialize_convolutions(self, 0.0)

    def forward(self, content: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.layers(content)
        return scores


def adaptive_norm(x: Tensor, offset_and_scale: Tensor) -> Tensor:
    """Instance norm of (B, C, J, I) with offset and scale - 1 of each sample, (B, 2 * C).

    Source: Huang and Belongie, Arbitrary style transfer in real time, ICCV 2017.
    """
    offset, scale = offset_and_scale[:, :, None, None].chunk(2, dim=1)
    return functional.instance_norm(x) * (1.0 + scale) + offset


def image_depth(size: int) -> int:
    """Strided layers, five at most, after which at least two of `size` pixels remain.

    Raises:
        UsageError: not even one layer fits.
    """
    depth = min(5, max(size, 1).bit_length() - 2)
    if depth < 1:
        message = f"An image discriminator needs 4 pixels at its coarsest scale, not {size}."
        raise UsageError(message, code="network.plan", hint="Use larger images.")
    return depth


def style_depth(size: int) -> int:
    """Strided steps of a style encoder, five at most, after which 8 of `size` pixels remain.

    The last norm hands on how values are distributed, and of a few of them that is nothing: with
    five steps on slices of 64 pixels all styles came out alike. At least one step.
    """
    return max(1, min(STYLE_STEPS, max(size, 1).bit_length() - 4))


def content_depth(size: int) -> int:
    """7x7 steps, four at most, after which at least three of `size` pixels remain.

    Raises:
        UsageError: not even one step fits.
    """
    depth, left = 0, (size - 7) // 2 + 1
    while depth < 4 and left >= 3:
        depth, left = depth + 1, (left - 7) // 2 + 1
    if depth == 0:
        message = f"A content discriminator needs maps of at least 11 pixels, not {size}."
        raise UsageError(message, code="network.plan", hint="Use images of at least 44 pixels.")
    return depth


def _score_layers(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
    before = width
    for _ in range(depth - 1):
        after = min(2 * before, 8 * width)
        layers.append(ConvBlock(before, after, style=STYLE, kernel=(4, 4), stride=(2, 2)))
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 1))


def _pre_activated(channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.InstanceNorm2d(channels, affine=True),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
