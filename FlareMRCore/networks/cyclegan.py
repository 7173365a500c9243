"""CycleGAN's generator and patch discriminator, in 2-D and 3-D.

Source: Zhu J.-Y. et al., Unpaired image-to-image translation using cycle-consistent adversarial
networks, ICCV 2017 (pytorch-CycleGAN-and-pix2pix: resnet_9blocks, basic discriminator); in 3-D
with replicated borders as in He et al., FLARE 2024 task 3.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from FlareMRCore.networks.blocks import (
    Layer,
    convolution,
    convolve,
    instance_norm,
    transposed_convolution,
)
from FlareMRCore.networks.shapes import check_minimum, check_multiple

Padding = Literal["reflect", "replicate"]
INITIAL_DEVIATION = 0.02
"""Standard deviation of new weights."""
SMALLEST_PATCH = 24
"""Shortest axis with which every norm of the discriminator still sees two values."""


class ResnetGenerator(nn.Module):
    """Image to image: two strided steps down, residual blocks, two steps up, tanh.

    Instance norms have neither learned scale nor memory.
    Shape: (B, 1, ...) to (B, 1, ...), values -1 to 1; each axis is a multiple of 4.

    Args:
        dimensions: spatial axes, 2 or 3.
        width: features at full resolution.
        blocks: residual blocks.
        padding: how borders are continued.
    """

    def __init__(
        self, dimensions: int, *, width: int = 64, blocks: int = 9, padding: Padding = "reflect"
    ) -> None:
        super().__init__()
        self.dimensions = dimensions
        conv, norm = convolution(dimensions), instance_norm(dimensions)
        up = transposed_convolution(dimensions)
        layers: list[nn.Module] = [conv(1, width, 7, padding=3, padding_mode=padding)]
        layers += [norm(width), nn.ReLU(inplace=True)]
        for channels in (width, 2 * width):
            layers += [conv(channels, 2 * channels, 3, 2, 1), norm(2 * channels)]
            layers.append(nn.ReLU(inplace=True))
        layers += [GeneratorBlock(dimensions, 4 * width, padding=padding) for _ in range(blocks)]
        for channels in (2 * width, width):
            layers += [up(2 * channels, channels, 3, 2, 1, output_padding=1), norm(channels)]
            layers.append(nn.ReLU(inplace=True))
        layers += [conv(width, 1, 7, padding=3, padding_mode=padding), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """The translated image.

        Raises:
            InputError: an axis is not a multiple of 4, or shorter than 8.
        """
        shape = tuple(x.shape[2:])
        check_multiple(shape, (4,) * self.dimensions)
        check_minimum(shape, 8)
        translated: Tensor = self.layers(x)
        return translated


class GeneratorBlock(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, dimensions: int, channels: int, *, padding: Padding) -> None:
        super().__init__()
        conv, norm = convolution(dimensions), instance_norm(dimensions)
        self.layers = nn.Sequential(
            conv(channels, channels, 3, padding=1, padding_mode=padding),
            norm(channels),
            nn.ReLU(inplace=True),
            conv(channels, channels, 3, padding=1, padding_mode=padding),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        total: Tensor = x + self.layers(x)
        return total


class PatchDiscriminator(nn.Module):
    """Scores of overlapping patches (70 voxels wide): how real each one looks.

    Scores have no sigmoid: least squares takes them as they are, cross-entropy "with logits".
    Shape: (B, 1, ...) to (B, 1, ...) at about an eighth of the resolution.

    Args:
        dimensions: spatial axes, 2 or 3.
        width: features of the first layer.
    """

    def __init__(self, dimensions: int, *, width: int = 64) -> None:
        super().__init__()
        conv = convolution(dimensions)
        self.layers = nn.Sequential(
            conv(1, width, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            *_discriminator_step(conv, instance_norm(dimensions), width, stride=2),
            *_discriminator_step(conv, instance_norm(dimensions), 2 * width, stride=2),
            *_discriminator_step(conv, instance_norm(dimensions), 4 * width, stride=1),
            conv(8 * width, 1, 4, 1, 1),
        )
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the patches.

        Raises:
            InputError: an axis is shorter than `SMALLEST_PATCH`.
        """
        check_minimum(tuple(x.shape[2:]), SMALLEST_PATCH)
        for layer in self.layers:
            x = convolve(layer, x)
        return x


def _discriminator_step(
    conv: Layer, norm: Layer, channels: int, *, stride: int
) -> tuple[nn.Module, ...]:
    return (
        conv(channels, 2 * channels, 4, stride, 1),
        norm(2 * channels),
        nn.LeakyReLU(0.2, inplace=True),
    )


def _initialize(network: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, INITIAL_DEVIATION)
