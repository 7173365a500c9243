"""Adversarial and reconstruction terms of the image translators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Adversary = Literal["lsgan", "bce"]
Scores = Tensor | Sequence[Tensor]


def adversarial_loss(scores: Scores, kind: Adversary, *, target: float) -> Tensor:
    """How far a discriminator's scores are from `target` (1 real, 0 fake), summed over scales.

    Args:
        scores: without sigmoid; a list has one tensor per scale.
        kind: ``"lsgan"`` is the mean square, ``"bce"`` the cross entropy with logits.
        target: of every score.

    Source: Mao et al., Least squares GAN, ICCV 2017; Goodfellow et al., NIPS 2014.
    """
    scales = [scores] if isinstance(scores, Tensor) else list(scores)
    return torch.stack([_distance(scale, kind, target) for scale in scales]).sum()


def discriminator_loss(real: Scores, fake: Scores, kind: Adversary) -> Tensor:
    """Loss of a discriminator that should say 1 to real and 0 to fake images."""
    return adversarial_loss(real, kind, target=1.0) + adversarial_loss(fake, kind, target=0.0)


def domain_loss(first: Scores, second: Scores, kind: Adversary) -> Tensor:
    """Loss of a discriminator that should say 1 to the first domain's content, 0 to the second's.

    Given in reverse order it is the loss of the encoder that should fool it.
    """
    return discriminator_loss(first, second, kind)


def reconstruction_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference: of cycles, identities, contents and styles."""
    return functional.l1_loss(found, wanted)


def _distance(scores: Tensor, kind: Adversary, target: float) -> Tensor:
    wanted = torch.full_like(scores, target)
    if kind == "lsgan":
        return functional.mse_loss(scores, wanted)
    return functional.binary_cross_entropy_with_logits(scores, wanted)
