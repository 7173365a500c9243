"""NETWORKS: every segmentation network by name, with literal numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.blocks import BlockStyle
from FlareMRCore.networks.mini import MINI_NETWORKS
from FlareMRCore.networks.phtrans import PHTrans, PHTransPlan, small_plan
from FlareMRCore.networks.subvoxel_unet import (
    flaremr_base,
    flaremr_coarse,
    flaremr_fine,
    flaremr_wide,
)
from FlareMRCore.networks.swin import Triple
from FlareMRCore.networks.unet import Branch, UNet, UNetPlan

ORGAN_CLASSES = 14
"""Background and 13 organs."""
FOREGROUND_CLASSES = 2
"""Background and anything else."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """A network that can be built by name.

    Attributes:
        name: what weights and recipes call it.
        build: makes it, with fresh weights.
        input_shape: channels and spatial axes of the input it was designed for: (C, K, J, I),
            or (C, J, I) for a 2-D network.
        classes: channels of its logits.
        description: one line for people.
    """

    name: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    classes: int
    description: str


def li_coarse() -> PHTrans:
    """Small coarse network of Li et al. (6 678 568 parameters).

    Source: Li et al., FLARE 2024 task 3.
    """
    return _li_small((64, 64, 64), (4, 4, 4), FOREGROUND_CLASSES)


def li_fine() -> PHTrans:
    """Small fine network of Li et al. (6 677 528 parameters)."""
    return _li_small((96, 192, 192), (3, 4, 4), ORGAN_CLASSES)


def li_base() -> PHTrans:
    """Small network of Li et al. for the whole abdomen at 8 mm (6 669 528 parameters).

    Beside `flaremr_base`, whose step takes about as long.
    """
    return _li_small((32, 32, 48), (2, 2, 3), ORGAN_CLASSES)


def li_big() -> PHTrans:
    """Big network of Li et al. as it was run: 24 channels (20 470 332 parameters)."""
    return _li_big(24)


def li_big_as_written() -> PHTrans:
    """Big network of Li et al. with the 36 channels of the text (32 545 092 parameters)."""
    return _li_big(36)


def zhu_small() -> UNet:
    """The final network of Zhu et al. (5 630 488 parameters).

    Source: Zhu et al., FLARE 2024 task 3; nnU-Net v2 with half the width and four poolings.
    """
    return _zhu((16, 32, 64, 128, 256), ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)))


def zhu_default() -> UNet:
    """nnU-Net's default network for the plan of Zhu et al. (30 713 158 parameters)."""
    strides = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    return _zhu((32, 64, 128, 256, 320, 320), strides)


def he_mean_teacher() -> UNet:
    """The network of all stages of He et al. (33 891 384 parameters).

    Source: He et al., FLARE 2024 task 3.
    """
    return UNet(
        UNetPlan(
            in_channels=1,
            channels=(32, 64, 128, 256, 320, 320),
            kernels=((3, 3, 3),) * 6,
            strides=((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
            branches=(Branch("organs", ORGAN_CLASSES),),
            style=BlockStyle(3, affine=False),
            downsampling="separate",
            activated_up=True,
            dropout=0.5,
            heads=(0, 1, 2, 3),
        )
    )


def stmt_teacher() -> PHTrans:
    """PHTrans in nnU-Net's plan, teacher of StMt for the organs (17 858 868 parameters).

    Source: Liu W. et al., MICCAI 2022, published code, setting of FLARE 2022.
    """
    return PHTrans(
        PHTransPlan(
            input_shape=(40, 224, 192),
            classes=ORGAN_CLASSES,
            base_channels=24,
            max_channels=312,
            heads=(3, 6, 12),
            window=(5, 7, 6),
            mlp_ratio=4.0,
            drop_path=0.2,
            first_stride=(1, 2, 2),
        )
    )


def stmt_coarse() -> UNet:
    """First stage of StMt: foreground or not (26 975 450 parameters).

    Source: Liu et al., FLARE 2023; = ResidualEncoderUNet of dynamic-network-architectures.
    """
    return _stmt(320, Branch("foreground", FOREGROUND_CLASSES))


def stmt_organs() -> UNet:
    """Second stage of StMt: the 13 organs (25 792 462 parameters)."""
    return _stmt(300, Branch("organs", ORGAN_CLASSES))


def stmt_tumor() -> UNet:
    """Second stage of StMt: tumors (25 786 450 parameters)."""
    return _stmt(300, Branch("tumor", FOREGROUND_CLASSES))


def ye_teacher_organs() -> UNet:
    """3-D teacher of Ye et al. for the organs (1 439 006 parameters).

    Source: Ye et al., FLARE 2023; = MONAI's BasicUNet with features 16, 16, 32, 64, 128, 16.
    """
    return _ye((16, 16, 32, 64, 128), 3, (Branch("organs", ORGAN_CLASSES),), 0)


def ye_teacher_tumor() -> UNet:
    """3-D teacher of Ye et al. for tumors (1 438 802 parameters)."""
    return _ye((16, 16, 32, 64, 128), 3, (Branch("tumor", FOREGROUND_CLASSES),), 0)


def ye_student() -> UNet:
    """2-D student of Ye et al. with one decoder end for organs and one for tumors.

    The paper gives no widths; these make about 2.05 M of its 2.388 M parameters.
    """
    branches = (Branch("organs", ORGAN_CLASSES), Branch("tumor", FOREGROUND_CLASSES))
    return _ye((32, 32, 64, 128, 256), 2, branches, 2)


def network_names() -> tuple[str, ...]:
    """Names of all networks, in the order of the registry."""
    return tuple(NETWORKS)


def network_entry(name: str) -> NetworkEntry:
    """The entry called `name`.

    Raises:
        UsageError: no such network; the message lists those there are.
    """
    if name not in NETWORKS:
        message = f"There is no network '{name}'. Known: {', '.join(NETWORKS)}."
        raise UsageError(message, code="usage.network")
    return NETWORKS[name]


def build_network(name: str) -> nn.Module:
    """A new network with random weights, in training mode.

    Raises:
        UsageError: no such network; the message lists those there are.
    """
    return network_entry(name).build()


def _li_small(shape: Triple, window: Triple, classes: int) -> PHTrans:
    return PHTrans(small_plan(shape, window, classes, base_channels=16, max_channels=200))


def _li_big(base_channels: int) -> PHTrans:
    return PHTrans(
        PHTransPlan(
            input_shape=(96, 256, 256),
            classes=ORGAN_CLASSES,
            base_channels=base_channels,
            max_channels=360,
            heads=(3, 6, 12),
            window=(3, 4, 4),
            mlp_ratio=4.0,
            drop_path=0.2,
        )
    )


def _zhu(channels: tuple[int, ...], strides: tuple[tuple[int, ...], ...]) -> UNet:
    return UNet(
        UNetPlan(
            in_channels=1,
            channels=channels,
            kernels=((1, 3, 3),) + ((3, 3, 3),) * (len(channels) - 1),
            strides=strides,
            branches=(Branch("organs", ORGAN_CLASSES),),
            style=BlockStyle(3),
            heads=tuple(range(len(strides))),
        )
    )


def _stmt(coarsest_channels: int, branch: Branch) -> UNet:
    return UNet(
        UNetPlan(
            in_channels=1,
            channels=(16, 32, 64, 128, 256, coarsest_channels),
            kernels=((3, 3, 3),) * 6,
            strides=((2, 2, 2),) * 5,
            branches=(branch,),
            style=BlockStyle(3),
            encoder="residual",
            heads=(0, 1, 2, 3, 4),
        )
    )


def _ye(
    channels: tuple[int, ...], dimensions: int, branches: tuple[Branch, ...], shared_stages: int
) -> UNet:
    return UNet(
        UNetPlan(
            in_channels=1,
            channels=channels,
            kernels=((3,) * dimensions,) * 5,
            strides=((2,) * dimensions,) * 4,
            branches=branches,
            style=BlockStyle(dimensions, negative_slope=0.1),
            downsampling="max-pool",
            shared_stages=shared_stages,
        )
    )


_ENTRIES = (
    NetworkEntry(
        "flaremr-base",
        flaremr_base,
        (1, 40, 32, 48),
        ORGAN_CLASSES,
        "FlareMR, start of the other two at 8 mm",
    ),
    NetworkEntry(
        "flaremr-coarse",
        flaremr_coarse,
        (1, 64, 80, 96),
        ORGAN_CLASSES,
        "FlareMR, whole abdomen at about 4 mm",
    ),
    NetworkEntry(
        "flaremr-fine",
        flaremr_fine,
        (1, 80, 96, 112),
        ORGAN_CLASSES,
        "FlareMR, organs at about 3 mm",
    ),
    NetworkEntry(
        "flaremr-wide",
        flaremr_wide,
        (1, 80, 96, 112),
        ORGAN_CLASSES,
        "FlareMR, organs at about 3 mm, more channels",
    ),
    NetworkEntry(
        "li2024-coarse",
        li_coarse,
        (1, 64, 64, 64),
        FOREGROUND_CLASSES,
        "Li 2024, small PHTrans, stage 1",
    ),
    NetworkEntry(
        "li2024-fine", li_fine, (1, 96, 192, 192), ORGAN_CLASSES, "Li 2024, small PHTrans, stage 2"
    ),
    NetworkEntry(
        "li2024-base", li_base, (1, 32, 32, 48), ORGAN_CLASSES, "Li 2024, small PHTrans at 8 mm"
    ),
    NetworkEntry(
        "li2024-big", li_big, (1, 96, 256, 256), ORGAN_CLASSES, "Li 2024, big PHTrans as run"
    ),
    NetworkEntry(
        "li2024-big-36",
        li_big_as_written,
        (1, 96, 256, 256),
        ORGAN_CLASSES,
        "Li 2024, big PHTrans as written",
    ),
    NetworkEntry(
        "zhu2024-small", zhu_small, (1, 40, 224, 192), ORGAN_CLASSES, "Zhu 2024, final U-Net"
    ),
    NetworkEntry(
        "zhu2024-default", zhu_default, (1, 40, 224, 192), ORGAN_CLASSES, "Zhu 2024, nnU-Net"
    ),
    NetworkEntry(
        "he2024", he_mean_teacher, (1, 48, 160, 224), ORGAN_CLASSES, "He 2024, mean-teacher U-Net"
    ),
    NetworkEntry(
        "stmt2023-teacher", stmt_teacher, (1, 40, 224, 192), ORGAN_CLASSES, "StMt 2023, teacher"
    ),
    NetworkEntry(
        "stmt2023-coarse",
        stmt_coarse,
        (1, 128, 128, 128),
        FOREGROUND_CLASSES,
        "StMt 2023, residual U-Net, stage 1",
    ),
    NetworkEntry(
        "stmt2023-organs",
        stmt_organs,
        (1, 192, 192, 192),
        ORGAN_CLASSES,
        "StMt 2023, residual U-Net, organs",
    ),
    NetworkEntry(
        "stmt2023-tumor",
        stmt_tumor,
        (1, 192, 192, 192),
        FOREGROUND_CLASSES,
        "StMt 2023, residual U-Net, tumors",
    ),
    NetworkEntry(
        "ye2023-teacher-organs",
        ye_teacher_organs,
        (1, 128, 128, 128),
        ORGAN_CLASSES,
        "Ye 2023, 3-D teacher, organs",
    ),
    NetworkEntry(
        "ye2023-teacher-tumor",
        ye_teacher_tumor,
        (1, 128, 128, 128),
        FOREGROUND_CLASSES,
        "Ye 2023, 3-D teacher, tumors",
    ),
    NetworkEntry(
        "ye2023-student",
        ye_student,
        (1, 224, 224),
        ORGAN_CLASSES + FOREGROUND_CLASSES,
        "Ye 2023, 2-D student, organ and tumor branch",
    ),
    *(NetworkEntry(*row) for row in MINI_NETWORKS),
)

NETWORKS: Mapping[str, NetworkEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
