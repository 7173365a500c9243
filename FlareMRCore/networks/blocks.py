"""Convolution blocks that every convolutional network here is made of, in 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from FlareMRCore.errors import UsageError

Layer = Callable[..., nn.Module]
TREACHEROUS_DEPTHS = (2, 3)
"""Slices of an input; an even kernel makes two of three."""
VOLUME_AXES = 5
"""Axes of (B, C, K, J, I)."""


@dataclass(frozen=True, slots=True)
class BlockStyle:
    """What the blocks of one network have in common.

    Attributes:
        dimensions: spatial axes, 2 or 3.
        affine: instance norms have a learned scale and offset.
        negative_slope: of the leaky rectifiers.
    """

    dimensions: int
    affine: bool = True
    negative_slope: float = 0.01


class ConvBlock(nn.Module):
    """Convolution with bias, instance norm and (unless told otherwise) leaky rectifier.

    Shape: (B, in, ...) to (B, out, ...), "same" padding for odd kernels, divided by `stride`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style: BlockStyle,
        kernel: Sequence[int],
        stride: Sequence[int] | None = None,
        activate: bool = True,
    ) -> None:
        super().__init__()
        steps = tuple(stride or (1,) * style.dimensions)
        # Windows that tile the input (kernel = stride) must not be shifted by padding.
        padding = tuple(
            0 if size == step else (size - 1) // 2 for size, step in zip(kernel, steps, strict=True)
        )
        self.conv = convolution(style.dimensions)(
            in_channels, out_channels, tuple(kernel), steps, padding=padding
        )
        self.norm = instance_norm(style.dimensions)(out_channels, affine=style.affine)
        self.activation = rectifier(style) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, out, ...)."""
        return _tensor(self.activation(self.norm(convolve(self.conv, x))))


def convolve(convolution: nn.Module, x: Tensor) -> Tensor:
    """The layer's answer to (B, C, [K,] J, I); in float32 where a processor would err in bfloat16.

    On processors, the gradient of a kernel's weights is wrong in bfloat16, and now and then
    infinite, where its answer has exactly two slices (torch 2.13 with oneDNN).
    """
    if (
        x.ndim == VOLUME_AXES
        and x.shape[2] in TREACHEROUS_DEPTHS
        and x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
    ):
        with torch.autocast("cpu", enabled=False):
            return _tensor(convolution(x.float()))
    return _tensor(convolution(x))


class ResidualBlock(nn.Module):
    """Two convolutions and a skip that averages and projects where sizes differ ("basic D").

    The projection is a convolution of size 1 without bias, followed by an instance norm. The
    last norm before the sum starts at zero, so that a new block is the identity.
    Source: He T. et al., Bag of tricks for image classification, CVPR 2019 (ResNet-D); as built
    by dynamic-network-architectures 0.4 (parameter-identical).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style: BlockStyle,
        kernel: Sequence[int],
        stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, out_channels, style=style, kernel=kernel, stride=stride)
        self.second = ConvBlock(
            out_channels, out_channels, style=style, kernel=kernel, activate=False
        )
        scale = self.second.norm.weight
        if isinstance(scale, Tensor):
            nn.init.zeros_(scale)
        self.skip = _residual_skip(in_channels, out_channels, style, stride)
        self.activation = rectifier(style)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, out, ...)."""
        return _tensor(self.activation(self.second(self.first(x)) + self.skip(x)))


class UpBlock(nn.Module):
    """Transposed convolution with kernel = stride, optionally with norm and rectifier."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style: BlockStyle,
        stride: Sequence[int],
        activate: bool,
    ) -> None:
        super().__init__()
        size = tuple(stride)
        self.conv = transposed_convolution(style.dimensions)(in_channels, out_channels, size, size)
        norm = instance_norm(style.dimensions)(out_channels, affine=style.affine)
        self.after = nn.Sequential(norm, rectifier(style)) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, out, ...), each axis multiplied by the stride."""
        return _tensor(self.after(self.conv(x)))


class DropPath(nn.Module):
    """Stochastic depth: in training, drops the whole branch of a sample, and rescales the rest.

    Source: Huang et al., Deep networks with stochastic depth, ECCV 2016.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """`x` itself in evaluation; the expected value equals `x` in training."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep) / keep


def convolution(dimensions: int) -> Layer:
    """Convolution layer for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.Conv2d, nn.Conv3d)


def transposed_convolution(dimensions: int) -> Layer:
    """Transposed convolution layer for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.ConvTranspose2d, nn.ConvTranspose3d)


def instance_norm(dimensions: int) -> Layer:
    """Instance norm layer for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.InstanceNorm2d, nn.InstanceNorm3d)


def channel_dropout(dimensions: int) -> Layer:
    """Layer that drops whole channels, for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.Dropout2d, nn.Dropout3d)


def max_pool(dimensions: int) -> Layer:
    """Maximum pooling layer for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.MaxPool2d, nn.MaxPool3d)


def average_pool(dimensions: int) -> Layer:
    """Average pooling layer for 2 or 3 spatial axes."""
    return _of_axes(dimensions, nn.AvgPool2d, nn.AvgPool3d)


def rectifier(style: BlockStyle) -> nn.LeakyReLU:
    """Leaky rectifier; in place, because the norm before it does not need its own output."""
    return nn.LeakyReLU(style.negative_slope, inplace=True)


def initialize_convolutions(network: nn.Module, negative_slope: float) -> None:
    """Draw all convolution weights Kaiming-normal for the given slope; biases become zero."""
    layers = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, layers):
            nn.init.kaiming_normal_(module.weight, a=negative_slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _residual_skip(
    in_channels: int, out_channels: int, style: BlockStyle, stride: Sequence[int] | None
) -> nn.Sequential:
    layers: list[nn.Module] = []
    if stride is not None and any(step != 1 for step in stride):
        layers.append(average_pool(style.dimensions)(tuple(stride), tuple(stride)))
    if in_channels != out_channels:
        layers.append(convolution(style.dimensions)(in_channels, out_channels, 1, bias=False))
        layers.append(instance_norm(style.dimensions)(out_channels, affine=style.affine))
    return nn.Sequential(*layers)


def _of_axes(dimensions: int, planar: Layer, spatial: Layer) -> Layer:
    if dimensions not in (2, 3):
        message = f"Networks have 2 or 3 spatial axes, not {dimensions}."
        raise UsageError(message, code="network.dimensions")
    return planar if dimensions == 2 else spatial


def _tensor(value: Tensor) -> Tensor:
    # nn.Module.__call__ is untyped; this gives its result the type that it has.
    return value
