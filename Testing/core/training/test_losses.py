import numpy as np
import pytest
import torch

from FlareMRCore.training.losses import marginal_dice_ce
from FlareMRCore.training.pack import allowed_classes


def _logits(labels: torch.Tensor, *, confidence: float) -> torch.Tensor:
    hot = torch.nn.functional.one_hot(labels, 14).permute(3, 0, 1, 2).float()
    return hot * confidence


def _labels() -> torch.Tensor:
    labels = torch.zeros(4, 4, 4, dtype=torch.int64)
    labels[:2, :2] = 1
    labels[2:, 2:] = 12
    return labels


def test_a_perfect_prediction_costs_nothing() -> None:
    allowed = torch.from_numpy(allowed_classes((), {}))
    loss = marginal_dice_ce(_logits(_labels(), confidence=50.0), _labels(), allowed)
    assert float(loss) == pytest.approx(0.0, abs=1e-5)


def test_the_cross_entropy_of_full_labels_is_that_of_torch() -> None:
    torch.manual_seed(0)
    logits = torch.randn(14, 4, 4, 4)
    background = torch.zeros(4, 4, 4, dtype=torch.int64)
    loss = marginal_dice_ce(logits, background, torch.from_numpy(allowed_classes((), {})))
    expected = torch.nn.functional.cross_entropy(logits[None], background[None])
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_an_organ_nobody_annotated_may_be_found_in_the_background() -> None:
    predicted = _labels()
    labels = torch.where(predicted == 12, 0, predicted)
    logits = _logits(predicted, confidence=50.0)
    partial = torch.from_numpy(allowed_classes((12,), {}))
    full = torch.from_numpy(allowed_classes((), {}))
    assert float(marginal_dice_ce(logits, labels, partial)) == pytest.approx(0.0, abs=1e-5)
    assert float(marginal_dice_ce(logits, labels, full)) > 1


def test_background_that_may_hide_an_organ_gives_no_gradient_against_it() -> None:
    labels = torch.zeros(4, 4, 4, dtype=torch.int64)
    logits = torch.zeros(14, 4, 4, 4, requires_grad=True)
    marginal_dice_ce(logits, labels, torch.from_numpy(allowed_classes((12,), {}))).backward()
    gradient = logits.grad
    assert gradient is not None
    assert bool((gradient[[0, 12]] < 0).all())
    assert bool((gradient[1:12] > 0).all())


def test_a_merged_structure_may_be_either_of_its_organs() -> None:
    labels = torch.full((4, 4, 4), 26, dtype=torch.int64)
    allowed = torch.from_numpy(allowed_classes((), {26: (11, 12)}))
    for organ in (11, 12):
        logits = _logits(torch.full((4, 4, 4), organ), confidence=50.0)
        assert float(marginal_dice_ce(logits, labels, allowed)) == pytest.approx(0.0, abs=1e-5)
    wrong = _logits(torch.full((4, 4, 4), 1), confidence=50.0)
    assert float(marginal_dice_ce(wrong, labels, allowed)) > 10


def test_surroundings_count_as_background() -> None:
    allowed = allowed_classes((), {})
    assert all(np.flatnonzero(allowed[value]).tolist() == [0] for value in range(14, 34))
