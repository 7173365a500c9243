"""What a student learns from its teacher: to agree with it, or its labels joined with the truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from FlareMRCore.training.distributed import sum_over_processes

LARGEST_WEIGHT = 0.1
STEEPNESS = 5.0


def consistency_weight(step: int, steps: int, *, largest: float = LARGEST_WEIGHT) -> float:
    """Weight of the consistency: largest * exp(-5 (1 - t/T)^2), `largest` from the last step on.

    Source: Laine and Aila, ICLR 2017; with 0.1 as in He et al., FLARE 2024 task 3.
    """
    missing = 1 - min(1.0, step / steps)
    return largest * math.exp(-STEEPNESS * missing**2)


def consistency_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the probabilities over voxels and classes.

    Args:
        student: logits (B, C, ...).
        teacher: logits of the same shape; no gradient flows into them.
    """
    wanted = functional.softmax(teacher.detach().float(), dim=1)
    squares = (functional.softmax(student.float(), dim=1) - wanted) ** 2
    count = squares.new_tensor(float(squares.numel()))
    total = sum_over_processes(torch.stack((squares.sum(), count)))
    return total[0] / total[1].clamp(min=1)


def union_with_truth(teacher: Tensor, labels: Tensor, *, value: int = 1) -> Tensor:
    """The teacher's classes (B, ...) int64, and `value` wherever the annotation has it.

    Nothing the teacher found is erased: the annotation is taken to be right but incomplete.
    Source: Liu et al. (StMt), FLARE 2023, real-time correction of tumor labels.

    Args:
        teacher: logits (B, C, ...).
        labels: annotation (B, ...) int64.
        value: class of the annotation that is forced.
    """
    found = teacher.detach().argmax(dim=1)
    return torch.where(labels == value, value, found)


def teacher_noise(image: Tensor, generator: torch.Generator) -> Tensor:
    """The image plus normal noise of standard deviation 0.1, cut at 0.2.

    Source: He et al., FLARE 2024 task 3.
    """
    noise = torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)
    return image + (0.1 * noise).clamp(-0.2, 0.2)
