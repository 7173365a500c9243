"""FlareMR's own network: a residual U-Net that works on a grid coarser than its input and output.

The stem folds blocks of `subvoxels`^3 voxels into channels and the head unfolds them again, so
that nearly all arithmetic happens at half the input resolution in each direction. Base, coarse
and fine network share one trunk: the base network (`subvoxels=1`, 8 mm) learns what the abdomen
looks like at the least cost, and the other two (`subvoxels=2`) start from its weights
(`inflate_subvoxels`) and learn where the borders are.

Group normalization instead of instance normalization: a third of the time on CPUs, and statistics
over several channels depend less on how much of the abdomen is in view.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from FlareMRCore.networks.blocks import convolve

WIDTHS = (32, 64, 96, 128)
WIDE_WIDTHS = (48, 96, 144, 192)
GROUPS = 8
NOISE = 0.05
"""Relative noise on copied channels, without which copies would learn the same forever."""


def flaremr_base() -> SubvoxelUNet:
    """Base network: 8 mm, background and 13 organs; only a start for the others."""
    return SubvoxelUNet(classes=14, subvoxels=1, widths=WIDTHS)


def flaremr_coarse() -> SubvoxelUNet:
    """Coarse network: input and output at about 4 mm, trunk at twice that; whole volume."""
    return SubvoxelUNet(classes=14, subvoxels=2, widths=WIDTHS)


def flaremr_fine() -> SubvoxelUNet:
    """Fine network: input and output at about 3 mm, trunk at twice that; region of interest."""
    return SubvoxelUNet(classes=14, subvoxels=2, widths=WIDTHS)


def flaremr_wide() -> SubvoxelUNet:
    """Wide fine network: as the fine network, with half as many channels again per level."""
    return SubvoxelUNet(classes=14, subvoxels=2, widths=WIDE_WIDTHS)


class ResidualBlock(nn.Module):
    """Two 3^3 convolutions with group normalization, added to their input (projected if needed)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, channels_out)
        self.conv2 = nn.Conv3d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            pool = nn.AvgPool3d(stride) if stride != 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv3d(channels_in, channels_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, K, J, I) -> (B, channels_out, K/stride, J/stride, I/stride)."""
        y = functional.relu(self.norm1(convolve(self.conv1, x)))
        y = self.norm2(convolve(self.conv2, y))
        return functional.relu(y + self.shortcut(x))


class Merge(nn.Module):
    """Decoder step: brings the deeper features up, adds the skip connection, one convolution."""

    def __init__(self, channels_deep: int, channels_skip: int) -> None:
        super().__init__()
        self.project = nn.Conv3d(channels_deep, channels_skip, 1, bias=False)
        self.conv = nn.Conv3d(channels_skip, channels_skip, 3, 1, 1, bias=False)
        self.norm = nn.GroupNorm(GROUPS, channels_skip)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(B, channels_deep, K/2, J/2, I/2), (B, channels_skip, K, J, I) -> shape of the skip."""
        raised = functional.interpolate(
            self.project(deep), size=skip.shape[2:], mode="trilinear", align_corners=False
        )
        y = raised + skip
        return y + functional.relu(self.norm(convolve(self.conv, y)))


class SubvoxelUNet(nn.Module):
    """U-Net with residual encoder, additive skips, and folded input and output voxels.

    Args:
        classes: output channels, background included.
        subvoxels: block size of the folding along each axis (1: none).
        widths: channels per level, finest first; each a multiple of 8.
    """

    def __init__(self, *, classes: int, subvoxels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.subvoxels = subvoxels
        self.stem = nn.Conv3d(subvoxels**3, widths[0], 3, 1, 1)
        self.encoder = nn.ModuleList([ResidualBlock(widths[0], widths[0])])
        for shallow, deep in pairwise(widths):
            self.encoder.append(ResidualBlock(shallow, deep, stride=2))
        self.decoder = nn.ModuleList(
            Merge(deep, shallow)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv3d(widths[0], classes * subvoxels**3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, 1, K, J, I), axes multiples of 8 * subvoxels -> logits (B, C, K, J, I)."""
        features = functional.relu(self.stem(fold(x, self.subvoxels)))
        skips = []
        for block in self.encoder:
            features = block(features)
            skips.append(features)
        y = skips.pop()
        for merge in self.decoder:
            y = merge(y, skips.pop())
        return unfold(self.head(y), self.subvoxels)


def fold(x: Tensor, n: int) -> Tensor:
    """Blocks of n^3 voxels as channels: (B, C, K, J, I) -> (B, C * n^3, K/n, J/n, I/n)."""
    if n == 1:
        return x
    b, c, k, j, i = x.shape
    blocks = x.reshape(b, c, k // n, n, j // n, n, i // n, n)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * n**3, k // n, j // n, i // n)


def unfold(x: Tensor, n: int) -> Tensor:
    """Inverse of `fold`: (B, C * n^3, K, J, I) -> (B, C, K*n, J*n, I*n)."""
    if n == 1:
        return x
    b, c, k, j, i = x.shape
    blocks = x.reshape(b, c // n**3, n, n, n, k, j, i)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // n**3, k * n, j * n, i * n)


def inflate_subvoxels(base: dict[str, Tensor], subvoxels: int) -> dict[str, Tensor]:
    """State of a network with `subvoxels` that computes what the state `base` (subvoxels 1) does.

    The folded stem averages each block, so its input is the image at the base's spacing; the head
    repeats the base's logits on all voxels of a block.
    """
    count = subvoxels**3
    state = dict(base)
    state["stem.weight"] = base["stem.weight"].repeat(1, count, 1, 1, 1) / count
    state["head.weight"] = torch.repeat_interleave(base["head.weight"], count, dim=0)
    state["head.bias"] = torch.repeat_interleave(base["head.bias"], count, dim=0)
    return state


def widen(narrow: dict[str, Tensor], wide: dict[str, Tensor]) -> dict[str, Tensor]:
    """State for the network of state `wide` that computes nearly what the state `narrow` does.

    The channels of each normalization group are repeated in turn until the group is full; what
    reads a repeated channel shares its weight among the copies (Chen et al., Net2Net, ICLR 2016;
    there the same exactly, here up to the statistics of unevenly filled groups and `NOISE`).
    """
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, target in wide.items():
        value = narrow[name]
        copied = value.shape != target.shape
        if value.shape[0] != target.shape[0]:
            value = value[_repeated_channels(value.shape[0], target.shape[0])]
        if value.ndim > 1 and value.shape[1] != target.shape[1]:
            source = _repeated_channels(value.shape[1], target.shape[1])
            share = 1 / torch.bincount(source, minlength=value.shape[1])
            value = value[:, source] * share[source].reshape(1, -1, 1, 1, 1)
        if copied and value.ndim > 1:
            noise = torch.randn(value.shape, generator=generator)
            value = value + NOISE * value.std() * noise
        state[name] = value
    return state


def _repeated_channels(count: int, wanted: int) -> Tensor:
    """Index of the source of each of `wanted` channels, (wanted,) int64."""
    place = torch.arange(wanted)
    group, within = place // (wanted // GROUPS), place % (wanted // GROUPS)
    return group * (count // GROUPS) + within % (count // GROUPS)
