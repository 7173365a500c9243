import pytest
import torch
from torch.nn import functional

from FlareMRCore.errors import UsageError
from FlareMRCore.training.deep_supervision import (
    deeply_supervised,
    shrunk_labels,
    supervision_weights,
)


def _ce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, labels)


def test_the_weights_of_the_papers() -> None:
    assert supervision_weights(4, last_counts=False) == pytest.approx((4 / 7, 2 / 7, 1 / 7, 0))
    assert supervision_weights(4, last_counts=True) == pytest.approx(
        (8 / 15, 4 / 15, 2 / 15, 1 / 15)
    )
    assert supervision_weights(1, last_counts=False) == (1.0,)


def test_labels_shrink_to_each_output() -> None:
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 3, 2, 2, 2)
    small = torch.randint(0, 3, (1, 2, 2, 2))
    labels = small.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = deeply_supervised([fine, coarse], labels, _ce, weights=(0.7, 0.3), mode="label-down")
    expected = 0.7 * _ce(fine, labels) + 0.3 * _ce(coarse, small)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_logits_grow_to_the_labels() -> None:
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 2, 3)
    labels = torch.randint(0, 3, (2, 4, 6))
    found = deeply_supervised([fine, coarse], labels, _ce, weights=(0.5, 0.5), mode="logit-up")
    grown = functional.interpolate(coarse, (4, 6), mode="bilinear", align_corners=False)
    expected = 0.5 * _ce(fine, labels) + 0.5 * _ce(grown, labels)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_an_output_of_weight_zero_is_not_computed_and_one_output_needs_no_weights() -> None:
    fine, broken = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 2, 2), float("nan"))
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    found = deeply_supervised([fine, broken], labels, _ce, weights=(1, 0), mode="label-down")
    alone = deeply_supervised(fine, labels, _ce, weights=(), mode="label-down")
    assert float(found) == pytest.approx(float(alone))
    with pytest.raises(UsageError, match="2 outputs"):
        deeply_supervised([fine, fine], labels, _ce, weights=(1.0,), mode="label-down")


def test_shrinking_keeps_label_values() -> None:
    labels = torch.randint(0, 256, (1, 9, 8, 7))
    assert set(shrunk_labels(labels, (3, 4, 2)).unique().tolist()) <= set(labels.unique().tolist())
    assert int(shrunk_labels(labels, (3, 8, 7))[0, 0, 0, 0]) == int(labels[0, 1, 0, 0])
