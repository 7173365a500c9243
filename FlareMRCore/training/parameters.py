"""What a training is told: values only, so that recipes and checks read them without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How samples are drawn.

    Attributes:
        spacing_mm: isotropic spacing of the samples.
        shapes: patch shapes (K, J, I), drawn with `shape_shares`.
        shape_shares: relative frequency of each shape.
        rotation_deg: standard deviation of the rotation about each axis.
        scale: largest relative scaling of all axes together; a third of it for each axis alone.
        elastic_mm: largest standard deviation of the elastic displacement.
        contrast_shares: families physics, random and curve of `random_appearance`.
        network_share: of the curves, those followed by a random shallow network.
        keep_ct: share of CT samples shown as they are.
        border_share: share of samples whose last voxels along each axis repeat the border, as
            they do where the engine fills an image up to the size that the network takes.
        organ_share: share of samples centered near a voxel of an organ drawn at random, small
            organs as often as large ones; the others lie anywhere in the organs' bounding box.
        window_share: share of images that lose their darkest and brightest values, as an export
            through a display window does.
        organ_size_share: share of samples in which some organs are grown or shrunk on their own.
        absence_share: share of the CT and label maps in which fat takes the place of an organ or
            of a part of it.
    """

    spacing_mm: float = 6.0
    shapes: tuple[Shape, ...] = ((56, 48, 64), (40, 48, 64), (24, 48, 64), (56, 16, 64))
    shape_shares: tuple[float, ...] = (0.5, 0.25, 0.15, 0.1)
    rotation_deg: float = 7.0
    scale: float = 0.2
    elastic_mm: float = 8.0
    contrast_shares: tuple[float, float, float] = (0.5, 0.25, 0.25)
    network_share: float = 0.6
    keep_ct: float = 0.05
    border_share: float = 0.0
    organ_share: float = 0.0
    window_share: float = 0.0
    organ_size_share: float = 0.0
    absence_share: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingParameters:
    """What to train and for how long.

    Attributes:
        builder: name in NETWORKS.
        steps: optimizer steps in total.
        learning_rate: AdamW, after a linear warm-up and before a linear decay to zero.
        warmup_steps: length of the warm-up.
        weight_decay: AdamW.
        average_decay: of the exponential moving average that is exported.
        clip_norm: largest gradient norm.
        seed: of the samples and of the initial weights.
        checkpoint_every: steps between checkpoints.
        precision: of the network's arithmetic; bfloat16 where the processor computes in it.
        sampling: how samples are drawn.
    """

    builder: str
    steps: int
    learning_rate: float = 1.5e-3
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    average_decay: float = 0.995
    clip_norm: float = 2.0
    seed: int = 0
    checkpoint_every: int = 100
    precision: Literal["float32", "bfloat16"] = "float32"
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
