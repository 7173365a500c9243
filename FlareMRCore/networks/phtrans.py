"""PHTrans: a U-Net whose deeper levels add a Swin transformer beside the convolutions.

Source: Liu W. et al., PHTrans: Parallelly aggregating global and local representations for
medical image segmentation, MICCAI 2022; as used by Li et al., FLARE 2024 task 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from FlareMRCore.errors import InputError, UsageError
from FlareMRCore.networks.blocks import convolve, initialize_convolutions
from FlareMRCore.networks.swin import (
    INITIAL_DEVIATION,
    SwinBlock,
    Triple,
    WindowAttention,
    shift_mask,
)
from FlareMRCore.networks.unet import Logits

LEVELS = 5
CONVOLUTION_LEVELS = 2
BLOCKS_PER_LEVEL = 2
RAMP_BLOCKS = 8
"""Blocks over which the drop-path rate rises; only the first six exist, as in the reference."""
KAIMING_SLOPE = 0.02


@dataclass(frozen=True, slots=True)
class PHTransPlan:
    """Everything that defines a PHTrans.

    Attributes:
        input_shape: spatial axes (K, J, I) of the input, fixed.
        classes: output channels.
        base_channels: features of the finest level; they double up to `max_channels`.
        heads: attention heads of the levels 2, 3 and 4.
        window: voxels per attention window.
        mlp_ratio: width of the perceptron relative to the features.
        drop_path: rate at the end of the stochastic-depth ramp.
        qkv_bias: query, key and value have biases (off in the published networks).
        dropout: channel dropout between each convolution and its norm.
        in_channels: input channels.
        first_stride: step from the finest level to the next one; all others are 2.
    """

    input_shape: Triple
    classes: int
    base_channels: int
    max_channels: int
    heads: Triple
    window: Triple
    mlp_ratio: float
    drop_path: float
    qkv_bias: bool = False
    dropout: float = 0.1
    in_channels: int = 1
    first_stride: Triple = (2, 2, 2)

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise UsageError(f"Impossible PHTrans: {'; '.join(problems)}.", code="network.plan")

    def channels(self, level: int) -> int:
        """Features of a level."""
        return min(self.base_channels << level, self.max_channels)

    def shape(self, level: int) -> Triple:
        """Spatial size of the features of a level."""
        if level == 0:
            return self.input_shape
        k, j, i = (n // first for n, first in zip(self.input_shape, self.first_stride, strict=True))
        return (k >> level - 1, j >> level - 1, i >> level - 1)

    def stride(self, level: int) -> Triple:
        """Step from a level to the next coarser one."""
        return (2, 2, 2) if level else self.first_stride


def small_plan(
    shape: Triple, window: Triple, classes: int, *, base_channels: int, max_channels: int
) -> PHTransPlan:
    """The small PHTrans of Li et al. at any size: narrow perceptrons, four heads everywhere.

    Source: Li et al., FLARE 2024 task 3.
    """
    return PHTransPlan(
        input_shape=shape,
        classes=classes,
        base_channels=base_channels,
        max_channels=max_channels,
        heads=(4, 4, 4),
        window=window,
        mlp_ratio=1.0,
        drop_path=0.1,
    )


class PHTrans(nn.Module):
    """The network for one input size.

    Shape: (B, in_channels, K, J, I) to logits (B, classes, K, J, I). In training mode a list of
    four logits, finest first, each at half the resolution of the one before.
    """

    def __init__(self, plan: PHTransPlan) -> None:
        super().__init__()
        self.plan = plan
        widths = [plan.channels(level) for level in range(LEVELS)]
        upward = range(LEVELS - 2, -1, -1)
        self.stem = nn.Conv3d(plan.in_channels, widths[0], 1)
        self.encoder = nn.ModuleList(
            ParallelLevel(plan, level, decoder=False) for level in range(LEVELS)
        )
        self.downs = nn.ModuleList(
            _change(
                nn.Conv3d(
                    widths[level],
                    widths[level + 1],
                    plan.stride(level),
                    plan.stride(level),
                    bias=False,
                )
            )
            for level in range(LEVELS - 1)
        )
        self.ups = nn.ModuleList(
            _change(
                nn.ConvTranspose3d(
                    widths[level + 1],
                    widths[level],
                    plan.stride(level),
                    plan.stride(level),
                    bias=False,
                )
            )
            for level in upward
        )
        self.decoder = nn.ModuleList(ParallelLevel(plan, level, decoder=True) for level in upward)
        self.heads = nn.ModuleList(
            nn.Conv3d(widths[level], plan.classes, 1, bias=False) for level in upward
        )
        _initialize(self)

    def forward(self, x: Tensor) -> Logits:
        """Logits, or the list of them in training mode.

        Raises:
            InputError: `x` does not have the plan's spatial size.
        """
        if tuple(x.shape[2:]) != self.plan.input_shape:
            message = f"This PHTrans works on {self.plan.input_shape}, not {tuple(x.shape[2:])}."
            raise InputError(message, code="network.shape", hint="Resize the input.")
        x = self.stem(x)
        skips: list[Tensor] = []
        for level, down in zip(self.encoder, self.downs, strict=False):
            x = level(x, x)
            skips.append(x)
            x = down(x)
        x = self.encoder[-1](x, x)
        logits: list[Tensor] = []
        for up, level, head in zip(self.ups, self.decoder, self.heads, strict=True):
            x, skip = up(x), skips.pop()
            x = level(torch.cat((x, skip), dim=1), x if level.swin is None else x + skip)
            if self.training or not skips:
                logits.append(head(x))
        return logits[::-1] if self.training else logits[0]


class ParallelLevel(nn.Module):
    """Two convolutions, plus a second branch: Swin blocks at the deeper levels, else identity."""

    def __init__(self, plan: PHTransPlan, level: int, *, decoder: bool) -> None:
        super().__init__()
        width = plan.channels(level)
        self.convs = nn.Sequential(
            *_convolution(2 * width if decoder else width, width, plan.dropout),
            *_convolution(width, width, plan.dropout),
        )
        self.swin = SwinPair(plan, level) if level >= CONVOLUTION_LEVELS else None

    def forward(self, local: Tensor, other: Tensor) -> Tensor:
        """Convolutions of `local` plus the second branch of `other`."""
        second = other if self.swin is None else self.swin(other)
        for layer in self.convs:
            local = convolve(layer, local)
        return local + second


class SwinPair(nn.Module):
    """A Swin block with regular and one with shifted windows."""

    def __init__(self, plan: PHTransPlan, level: int) -> None:
        super().__init__()
        self.window = plan.window
        self.shift: Triple = (plan.window[0] // 2, plan.window[1] // 2, plan.window[2] // 2)
        self.mask: Tensor
        mask = shift_mask(plan.shape(level), plan.window, self.shift)
        self.register_buffer("mask", mask, persistent=False)
        first = (level - CONVOLUTION_LEVELS) * BLOCKS_PER_LEVEL
        self.regular = _swin_block(plan, level, first)
        self.shifted = _swin_block(plan, level, first + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, K, J, I) to the same shape."""
        x = x.permute(0, 2, 3, 4, 1)
        x = self.regular(x, window=self.window, shift=(0, 0, 0), mask=None)
        x = self.shifted(x, window=self.window, shift=self.shift, mask=self.mask)
        return x.permute(0, 4, 1, 2, 3)


def drop_path_rate(plan: PHTransPlan, block: int) -> float:
    """Rate of the block with this number, counted from the first Swin level."""
    return plan.drop_path * block / (RAMP_BLOCKS - 1)


def _swin_block(plan: PHTransPlan, level: int, block: int) -> SwinBlock:
    width = plan.channels(level)
    heads = plan.heads[level - CONVOLUTION_LEVELS]
    return SwinBlock(
        WindowAttention(width, heads, window=plan.window, qkv_bias=plan.qkv_bias),
        channels=width,
        mlp_ratio=plan.mlp_ratio,
        drop_path=drop_path_rate(plan, block),
    )


def _convolution(before: int, after: int, dropout: float) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(before, after, 3, padding=1),
        nn.Dropout3d(dropout),
        nn.InstanceNorm3d(after, affine=True),
        nn.GELU(),
    )


def _change(conv: nn.Conv3d | nn.ConvTranspose3d) -> nn.Sequential:
    return nn.Sequential(conv, nn.InstanceNorm3d(conv.out_channels, affine=True))


def _initialize(network: nn.Module) -> None:
    initialize_convolutions(network, KAIMING_SLOPE)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=INITIAL_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _problems(plan: PHTransPlan) -> list[str]:
    problems: list[str] = []
    for size, width, first in zip(plan.input_shape, plan.window, plan.first_stride, strict=True):
        unit = (width << LEVELS - 2) * first
        if size <= 0 or size % unit:
            problems.append(f"an axis must be a multiple of {unit}, not {size}")
    for level, heads in zip(range(CONVOLUTION_LEVELS, LEVELS), plan.heads, strict=True):
        if plan.channels(level) % heads:
            problems.append(f"{plan.channels(level)} channels cannot be split into {heads} heads")
    return problems
