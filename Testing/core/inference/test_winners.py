"""Winning classes."""

import torch

from FlareMRCore.inference.winners import winning_classes


def test_equal_to_argmax_and_ties_go_to_the_first() -> None:
    logits = torch.randint(-3, 3, (14, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    classes = winning_classes(logits.float())
    # numpy's argmax promises the first of equal values.
    assert (classes.numpy() == logits.numpy().argmax(0)).all()
    assert classes.dtype == torch.uint8


def test_input_stays_as_it_is() -> None:
    logits = torch.arange(12.0).reshape(3, 1, 2, 2)
    before = logits.clone()
    winning_classes(logits)
    assert torch.equal(logits, before)
