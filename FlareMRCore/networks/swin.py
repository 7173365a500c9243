"""3-D Swin transformer blocks: attention inside windows that every second block shifts.

Source: Liu Z. et al., Swin Transformer, ICCV 2021; in 3-D as in PHTrans (Liu W. et al., MICCAI
2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from FlareMRCore.networks.blocks import DropPath

Triple = tuple[int, int, int]
INITIAL_DEVIATION = 0.02
"""Standard deviation of new linear weights and position biases (Swin, PHTrans)."""


class WindowAttention(nn.Module):
    """Multi-head attention among the N voxels of each window, with a bias by relative position.

    Args:
        channels: features, a multiple of `heads`.
        heads: attention heads.
        window: voxels per axis (K, J, I); N is their product.
        qkv_bias: query, key and value have biases.
    """

    def __init__(self, channels: int, heads: int, *, window: Triple, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.projection = nn.Linear(channels, channels)
        offsets = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.position_bias = nn.Parameter(torch.empty(offsets, heads))
        nn.init.trunc_normal_(self.position_bias, std=INITIAL_DEVIATION)
        self.position_index: Tensor
        self.register_buffer("position_index", relative_positions(window), persistent=False)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Windows (B * W, N, C), and a mask (W, N, N) to add to the scores, to the same shape."""
        count, voxels, channels = windows.shape
        qkv = self.qkv(windows).reshape(count, voxels, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.position_bias[self.position_index.to(self.position_bias.device)]
        bias = bias.permute(2, 0, 1).unsqueeze(0)
        if mask is not None:
            bias = bias + mask.to(bias.device).unsqueeze(1)
            bias = bias.expand(count // mask.shape[0], *bias.shape).reshape(-1, *bias.shape[1:])
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias.to(query.dtype)
        )
        projected: Tensor = self.projection(attended.transpose(1, 2).reshape(windows.shape))
        return projected


class SwinBlock(nn.Module):
    """Window attention and a two-layer perceptron, each after a norm and around a skip.

    Args:
        attention: the attention inside the windows.
        channels: features.
        mlp_ratio: width of the perceptron relative to `channels`.
        drop_path: probability of dropping a branch in training.
    """

    def __init__(
        self, attention: WindowAttention, *, channels: int, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = attention
        self.norm2 = nn.LayerNorm(channels)
        hidden = int(channels * mlp_ratio)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, *, window: Triple, shift: Triple, mask: Tensor | None) -> Tensor:
        """Features (B, K, J, I, C) to the same shape.

        Each axis is a multiple of `window`. `shift` displaces the windows (zeros: regular ones,
        without `mask`); the mask is that of `shift_mask`.
        """
        moved = torch.roll(self.norm1(x), tuple(-step for step in shift), dims=(1, 2, 3))
        windows = self.attention(partition_windows(moved, window), mask)
        merged = merge_windows(windows, window, shape=(x.shape[1], x.shape[2], x.shape[3]))
        x = x + self.drop_path(torch.roll(merged, shift, dims=(1, 2, 3)))
        perceived: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return perceived


def relative_positions(window: Triple) -> Tensor:
    """Index (N, N), int64: which entry of the bias table belongs to a pair of voxels.

    Pairs with the same displacement share an entry; N is the number of voxels in the window.
    """
    # Always on the CPU, so that a network built without storage ("meta") keeps true values.
    axes = [torch.arange(size, device="cpu") for size in window]
    places = torch.stack(torch.meshgrid(axes, indexing="ij")).flatten(1)
    displacement = places[:, :, None] - places[:, None, :]
    index = torch.zeros_like(displacement[0])
    for axis, size in enumerate(window):
        index = index * (2 * size - 1) + displacement[axis] + size - 1
    return index


def shift_mask(shape: Triple, window: Triple, shift: Triple) -> Tensor:
    """Scores (W, N, N) to add: 0 for true neighbors, -inf for pairs that only the shift joined.

    Rolling the features by `shift` brings voxels from opposite borders into one window; they
    must not see each other.
    """
    region = torch.zeros(shape, dtype=torch.int64, device="cpu")
    for axis, (size, width, step) in enumerate(zip(shape, window, shift, strict=True)):
        place = torch.arange(size, device="cpu")
        part = (place >= size - width).long() + ((place >= size - step) & (step > 0)).long()
        view = [1, 1, 1]
        view[axis] = size
        region = region * 3 + part.reshape(view)
    windows = partition_windows(region[None, ..., None], window).squeeze(-1)
    same = windows[:, :, None] == windows[:, None, :]
    return torch.zeros(same.shape, device="cpu").masked_fill(~same, float("-inf"))


def partition_windows(x: Tensor, window: Triple) -> Tensor:
    """Features (B, K, J, I, C) as windows (B * W, N, C)."""
    b, k, j, i, c = x.shape
    wk, wj, wi = window
    blocks = x.reshape(b, k // wk, wk, j // wj, wj, i // wi, wi, c)
    return blocks.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, wk * wj * wi, c)


def merge_windows(windows: Tensor, window: Triple, *, shape: Triple) -> Tensor:
    """Inverse of `partition_windows`: (B * W, N, C) to (B, K, J, I, C)."""
    k, j, i = shape
    wk, wj, wi = window
    channels = windows.shape[-1]
    blocks = windows.reshape(-1, k // wk, j // wj, i // wi, wk, wj, wi, channels)
    return blocks.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, k, j, i, channels)
