"""Probabilities and agreement."""

import pytest
import torch

from FlareMRCore.inference.confidence import agreements, mean_confidences, winning_probability


def test_probability_is_the_largest_softmax() -> None:
    logits = torch.randn(14, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 5
    torch.testing.assert_close(winning_probability(logits), logits.softmax(0).amax(0))


def test_huge_logits_do_not_overflow() -> None:
    logits = torch.tensor([[[[1e4]]], [[[-1e4]]]])
    assert winning_probability(logits).item() == 1.0


def test_confidences_are_means_over_own_voxels() -> None:
    labels = torch.tensor([[[0, 1, 1, 3]]], dtype=torch.uint8)
    probability = torch.tensor([[[0.9, 0.5, 0.7, 0.4]]])
    result = mean_confidences(labels, probability, 4)
    assert result[2] is None
    assert [result[0], result[1], result[3]] == pytest.approx([0.9, 0.6, 0.4])


def test_agreement_is_the_mean_dice_of_pairs() -> None:
    views = [torch.tensor(v, dtype=torch.uint8) for v in ([1, 1, 0, 2], [1, 0, 0, 2], [1, 1, 0, 0])]
    result = agreements(views, 4)
    assert result[1] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert result[2] == pytest.approx((1 + 0 + 0) / 3)
    assert result[3] is None


def test_one_view_has_no_agreement() -> None:
    assert agreements([], 3) == [None, None, None]
    assert agreements([torch.zeros(3, dtype=torch.uint8)], 2) == [None, None]
