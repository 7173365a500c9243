"""One configurable U-Net: 2-D or 3-D, plain or residual encoder, one decoder or named branches."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.blocks import (
    BlockStyle,
    ConvBlock,
    ResidualBlock,
    UpBlock,
    channel_dropout,
    convolution,
    initialize_convolutions,
    max_pool,
)
from FlareMRCore.networks.shapes import check_multiple

Step = tuple[int, ...]
Logits = Tensor | list[Tensor]


@dataclass(frozen=True, slots=True)
class Branch:
    """An output of the network: its name (prefix of its parameters) and number of classes."""

    name: str
    classes: int


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """Everything that defines a U-Net.

    Attributes:
        in_channels: input channels.
        channels: features by level, finest first.
        kernels: kernel size by level, for encoder and decoder alike.
        strides: step from each level to the next coarser one; one entry less than levels.
        branches: outputs; the logits of several branches are concatenated in this order.
        style: spatial axes, norms and slope.
        encoder: ``"plain"`` is two convolutions per level, ``"residual"`` is a stem convolution
            and two residual blocks per level.
        downsampling: by the level's first convolution (``"strided"``), by a convolution of its
            own with kernel = stride, norm and rectifier (``"separate"``), or ``"max-pool"``.
        activated_up: norm and rectifier follow the transposed convolutions.
        dropout: channel dropout after the bottleneck and after the finest block.
        heads: levels with an output in training, 0 is the finest.
        shared_stages: decoder stages, from the coarsest, that all branches share.
    """

    in_channels: int
    channels: tuple[int, ...]
    kernels: tuple[Step, ...]
    strides: tuple[Step, ...]
    branches: tuple[Branch, ...]
    style: BlockStyle
    encoder: Literal["plain", "residual"] = "plain"
    downsampling: Literal["strided", "separate", "max-pool"] = "strided"
    activated_up: bool = False
    dropout: float = 0.0
    heads: tuple[int, ...] = (0,)
    shared_stages: int = 0

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise UsageError(f"Impossible U-Net: {'; '.join(problems)}.", code="network.plan")

    @property
    def multiple_of(self) -> Step:
        """What each spatial axis of the input must be a multiple of."""
        return tuple(prod(step) for step in zip(*self.strides, strict=True))


class UNet(nn.Module):
    """Encoder, decoder and 1-voxel heads as the plan says.

    Shape: (B, in_channels, ...) to logits (B, sum of classes, ...). In training mode a network
    with several heads returns a list of logits, finest first, each at its own resolution.

    Source: Ronneberger et al., MICCAI 2015; Isensee et al., Nature Methods 2021 (nnU-Net).
    """

    def __init__(self, plan: UNetPlan) -> None:
        super().__init__()
        self.plan = plan
        self.encoder = nn.ModuleList(_encoder_level(plan, i) for i in range(len(plan.channels)))
        coarsest = len(plan.channels) - 2
        split = coarsest - plan.shared_stages
        self.decoder = nn.ModuleList(DecoderStage(plan, i) for i in range(coarsest, split, -1))
        self.branches = nn.ModuleDict(
            {branch.name: DecoderBranch(plan, branch, split) for branch in plan.branches}
        )
        self.dropout = channel_dropout(plan.style.dimensions)(plan.dropout)
        initialize_convolutions(self, plan.style.negative_slope)

    def forward(self, x: Tensor) -> Logits:
        """Logits of all branches, channel by channel in the order of the plan.

        Raises:
            InputError: an axis of `x` is not a multiple of `plan.multiple_of`.
        """
        check_multiple(tuple(x.shape[2:]), self.plan.multiple_of)
        features: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            features.append(x)
        x = self.dropout(features.pop())
        for stage in self.decoder:
            x = stage(x, features.pop())
        outputs = [branch(x, tuple(features)) for branch in self.branches.values()]
        logits = [torch.cat(level, dim=1) for level in zip(*outputs, strict=True)]
        return logits if len(logits) > 1 else logits[0]

    def branch_channels(self, name: str) -> slice:
        """Channels of the logits that belong to the named branch.

        Raises:
            UsageError: no such branch.
        """
        first = 0
        for branch in self.plan.branches:
            if branch.name == name:
                return slice(first, first + branch.classes)
            first += branch.classes
        known = ", ".join(branch.name for branch in self.plan.branches)
        message = f"There is no branch '{name}'. Known: {known}."
        raise UsageError(message, code="network.branch")


class DecoderStage(nn.Module):
    """Upsampling, concatenation with the encoder's features, two convolutions."""

    def __init__(self, plan: UNetPlan, level: int) -> None:
        super().__init__()
        below, here = plan.channels[level + 1], plan.channels[level]
        self.up = UpBlock(
            below, here, style=plan.style, stride=plan.strides[level], activate=plan.activated_up
        )
        self.convs = _conv_pair(2 * here, here, plan, level, None)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features at the resolution of `skip`."""
        merged: Tensor = self.convs(torch.cat((self.up(x), skip), dim=1))
        return merged


class DecoderBranch(nn.Module):
    """The decoder stages and heads that belong to one output."""

    def __init__(self, plan: UNetPlan, branch: Branch, coarsest: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DecoderStage(plan, i) for i in range(coarsest, -1, -1))
        head = convolution(plan.style.dimensions)
        self.heads = nn.ModuleDict(
            {str(i): head(plan.channels[i], branch.classes, 1) for i in sorted(plan.heads)}
        )
        self.dropout = channel_dropout(plan.style.dimensions)(plan.dropout)

    def forward(self, x: Tensor, skips: tuple[Tensor, ...]) -> list[Tensor]:
        """Logits, finest first; only the finest in evaluation. `skips` are finest first."""
        logits: list[Tensor] = []
        for stage, level in zip(self.stages, reversed(range(len(skips))), strict=True):
            x = stage(x, skips[level])
            if level == 0:
                x = self.dropout(x)
            if str(level) in self.heads and (self.training or level == 0):
                logits.append(self.heads[str(level)](x))
        return logits[::-1]


def _encoder_level(plan: UNetPlan, level: int) -> nn.Sequential:
    here = plan.channels[level]
    below = plan.channels[level - 1] if level else plan.in_channels
    stride = plan.strides[level - 1] if level else None
    layers: list[nn.Module] = []
    if level == 0 and plan.encoder == "residual":
        layers.append(ConvBlock(below, here, style=plan.style, kernel=plan.kernels[0]))
        below = here
    if stride is not None and plan.downsampling == "max-pool":
        layers.append(max_pool(plan.style.dimensions)(stride, stride))
        stride = None
    if stride is not None and plan.downsampling == "separate":
        layers.append(ConvBlock(below, here, style=plan.style, kernel=stride, stride=stride))
        below, stride = here, None
    pair = _residual_pair if plan.encoder == "residual" else _conv_pair
    layers.append(pair(below, here, plan, level, stride))
    return nn.Sequential(*layers)


def _conv_pair(
    before: int, after: int, plan: UNetPlan, level: int, stride: Step | None
) -> nn.Sequential:
    kernel = plan.kernels[level]
    return nn.Sequential(
        ConvBlock(before, after, style=plan.style, kernel=kernel, stride=stride),
        ConvBlock(after, after, style=plan.style, kernel=kernel),
    )


def _residual_pair(
    before: int, after: int, plan: UNetPlan, level: int, stride: Step | None
) -> nn.Sequential:
    kernel = plan.kernels[level]
    return nn.Sequential(
        ResidualBlock(before, after, style=plan.style, kernel=kernel, stride=stride),
        ResidualBlock(after, after, style=plan.style, kernel=kernel),
    )


def _problems(plan: UNetPlan) -> list[str]:
    levels = len(plan.channels)
    own_stages = levels - 1 - plan.shared_stages
    checks = {
        "two levels at least": levels >= 2,
        "one kernel per level": len(plan.kernels) == levels,
        "one stride between two levels": len(plan.strides) == levels - 1,
        "kernels and strides with one number per axis": all(
            len(size) == plan.style.dimensions for size in plan.kernels + plan.strides
        ),
        "a branch": len(plan.branches) > 0,
        "branches with different names": len({b.name for b in plan.branches}) == len(plan.branches),
        "at least the finest decoder stage in the branches": 0 < own_stages < levels,
        "heads at decoder levels of the branches, among them 0": 0 in plan.heads
        and all(0 <= level < own_stages for level in plan.heads),
    }
    return [f"needs {what}" for what, holds in checks.items() if not holds]
