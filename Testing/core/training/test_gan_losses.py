import math

import pytest
import torch

from FlareMRCore.training.gan_losses import (
    adversarial_loss,
    discriminator_loss,
    domain_loss,
    reconstruction_loss,
)


def test_least_squares_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.0, 3.0]])
    assert float(adversarial_loss(scores, "lsgan", target=1.0)) == pytest.approx(5 / 3)
    assert float(adversarial_loss(scores, "lsgan", target=0.0)) == pytest.approx(10 / 3)


def test_cross_entropy_takes_scores_without_sigmoid() -> None:
    scores = torch.tensor([[0.0, 2.0]])
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert float(adversarial_loss(scores, "bce", target=1.0)) == pytest.approx(expected)


def test_scales_are_summed() -> None:
    scales = [torch.zeros(1, 1, 4, 4), torch.full((1, 1, 2, 2), 2.0)]
    assert float(adversarial_loss(scales, "lsgan", target=1.0)) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["lsgan", "bce"])
def test_a_discriminator_that_is_right_has_the_least_loss(kind: str) -> None:
    good, bad = ((1.0, 0.0), (0.0, 1.0)) if kind == "lsgan" else ((30.0, -30.0), (-30.0, 30.0))
    losses = [
        float(discriminator_loss(torch.tensor([real]), torch.tensor([fake]), kind))  # type: ignore[arg-type]
        for real, fake in (good, bad)
    ]
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    assert losses[1] > 1


def test_the_encoder_wants_the_reverse_of_the_content_discriminator() -> None:
    ct, mr = torch.tensor([1.0]), torch.tensor([0.0])
    assert float(domain_loss(ct, mr, "lsgan")) == 0
    assert float(domain_loss(mr, ct, "lsgan")) == 2


def test_reconstruction_is_the_mean_absolute_difference() -> None:
    assert float(reconstruction_loss(torch.tensor([1.0, -1]), torch.tensor([0.0, 2]))) == 2
