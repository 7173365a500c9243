"""Small networks of the papers' kinds: for recipes in minutes on a processor, and for tests."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from FlareMRCore.networks.blocks import BlockStyle
from FlareMRCore.networks.phtrans import PHTrans, small_plan
from FlareMRCore.networks.swin import Triple
from FlareMRCore.networks.unet import Branch, UNet, UNetPlan

CHANNELS = (8, 16, 32, 64)
ORGANS = Branch("organs", 14)
TUMOR = Branch("tumor", 2)
FOREGROUND = Branch("foreground", 2)


def unet_mini() -> UNet:
    """3-D U-Net for the organs (351 516 parameters)."""
    return _unet(3, (ORGANS,))


def unet_mini_foreground() -> UNet:
    """3-D U-Net for foreground or not (351 204 parameters)."""
    return _unet(3, (FOREGROUND,))


def unet_mini_tumor() -> UNet:
    """3-D U-Net for tumors (351 204 parameters)."""
    return _unet(3, (TUMOR,))


def unet_mini_slices() -> UNet:
    """2-D U-Net with one decoder end for organs and one for tumors (133 160 parameters)."""
    return _unet(2, (ORGANS, TUMOR))


def resunet_mini() -> UNet:
    """3-D U-Net with a residual encoder for the organs (650 660 parameters)."""
    return _unet(3, (ORGANS,), residual=True)


def resunet_mini_foreground() -> UNet:
    """3-D U-Net with a residual encoder for foreground or not (650 348 parameters)."""
    return _unet(3, (FOREGROUND,), residual=True)


def resunet_mini_tumor() -> UNet:
    """3-D U-Net with a residual encoder for tumors (650 348 parameters)."""
    return _unet(3, (TUMOR,), residual=True)


def phtrans_mini() -> PHTrans:
    """PHTrans of one shape for the organs (705 312 parameters)."""
    return _phtrans((32, 48, 64), (2, 3, 4), ORGANS.classes)


def phtrans_mini_foreground() -> PHTrans:
    """PHTrans of one shape for foreground or not (701 112 parameters)."""
    return _phtrans((32, 32, 32), (2, 2, 2), FOREGROUND.classes)


def _unet(dimensions: int, branches: tuple[Branch, ...], *, residual: bool = False) -> UNet:
    return UNet(
        UNetPlan(
            in_channels=1,
            channels=CHANNELS,
            kernels=((3,) * dimensions,) * len(CHANNELS),
            strides=((2,) * dimensions,) * (len(CHANNELS) - 1),
            branches=branches,
            style=BlockStyle(dimensions),
            encoder="residual" if residual else "plain",
            heads=(0, 1),
            shared_stages=len(branches) - 1,
        )
    )


def _phtrans(shape: Triple, window: Triple, classes: int) -> PHTrans:
    return PHTrans(small_plan(shape, window, classes, base_channels=6, max_channels=48))


_CUBE = (1, 32, 32, 32)

MINI_NETWORKS: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...], int, str], ...] = (
    ("unet-mini", unet_mini, _CUBE, 14, "small U-Net, organs"),
    ("unet-mini-foreground", unet_mini_foreground, _CUBE, 2, "small U-Net, stage 1"),
    ("unet-mini-tumor", unet_mini_tumor, _CUBE, 2, "small U-Net, tumors"),
    ("unet-mini-2d", unet_mini_slices, (1, 64, 64), 16, "small 2-D U-Net, organs and tumors"),
    ("resunet-mini", resunet_mini, _CUBE, 14, "small residual U-Net, organs"),
    ("resunet-mini-foreground", resunet_mini_foreground, _CUBE, 2, "small residual U-Net, stage 1"),
    ("resunet-mini-tumor", resunet_mini_tumor, _CUBE, 2, "small residual U-Net, tumors"),
    ("phtrans-mini", phtrans_mini, (1, 32, 48, 64), 14, "small PHTrans of one shape, organs"),
    ("phtrans-mini-foreground", phtrans_mini_foreground, _CUBE, 2, "small PHTrans, stage 1"),
)
"""Name, function, shape of the input, classes and description, see `NetworkEntry`."""
