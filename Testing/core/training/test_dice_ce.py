import pytest
import torch
from torch.nn import functional

from FlareMRCore.training.dice_ce import dice_ce
from FlareMRCore.training.learning_parameters import IGNORE, DiceCE


def _case(classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(2, classes, 4, 5, 6, dtype=torch.float32)
    return logits, torch.randint(0, classes, (2, 4, 5, 6))


def _perfect(labels: torch.Tensor, classes: int = 4) -> torch.Tensor:
    return functional.one_hot(labels, classes).movedim(-1, 1).float() * 60


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("background", [True, False])
def test_all_options_agree_with_monai(batch: bool, squared: bool, background: bool) -> None:
    losses = pytest.importorskip("monai.losses")
    logits, labels = _case()
    weights = (0.5, 1.0, 2.0, 1.5)
    reference = losses.DiceCELoss(
        include_background=background,
        to_onehot_y=True,
        softmax=True,
        squared_pred=squared,
        batch=batch,
        smooth_nr=1e-3,
        smooth_dr=1e-3,
        lambda_dice=0.7,
        lambda_ce=0.4,
    )
    options = DiceCE(batch, squared, background, 1e-3, dice_weight=0.7, cross_entropy_weight=0.4)
    expected = float(reference(logits, labels[:, None]))
    assert float(dice_ce(logits, labels, options)) == pytest.approx(expected, rel=1e-5)
    weighted = DiceCE(class_weights=weights, dice_weight=0.0)
    expected = float(functional.cross_entropy(logits, labels, torch.tensor(weights)))
    assert float(dice_ce(logits, labels, weighted)) == pytest.approx(expected, rel=1e-5)


def test_a_small_case_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.25, 0.5], [0.75, 0.5]]]))
    labels = torch.tensor([[1, 0]])
    only_dice = DiceCE(cross_entropy_weight=0.0, smooth=0.0)
    dice = 2 * 0.75 / (1.25 + 1)
    assert float(dice_ce(logits, labels, only_dice)) == pytest.approx(1 - dice)
    squared = DiceCE(cross_entropy_weight=0.0, smooth=0.0, squared=True)
    dice = 2 * 0.75 / (0.75**2 + 0.5**2 + 1)
    assert float(dice_ce(logits, labels, squared)) == pytest.approx(1 - dice)


@pytest.mark.parametrize("batch", [True, False])
def test_a_perfect_prediction_is_the_minimum(batch: bool) -> None:
    _, labels = _case()
    logits = _perfect(labels).requires_grad_()
    loss = dice_ce(logits, labels, DiceCE(batch=batch))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) < 1e-6


def test_ignored_voxels_change_nothing_and_get_no_gradient() -> None:
    logits, labels = _case()
    labels[:, 2:] = IGNORE
    logits.requires_grad_()
    loss = dice_ce(logits, labels, DiceCE())
    loss.backward()
    assert logits.grad is not None
    assert bool((logits.grad[:, :, 2:] == 0).all())
    assert bool((logits.grad[:, :, :2] != 0).any())
    kept = dice_ce(logits[:, :, :2], labels[:, :2], DiceCE())
    assert loss.item() == pytest.approx(kept.item(), rel=1e-6)


def test_everything_ignored_costs_nothing() -> None:
    logits, labels = _case()
    logits.requires_grad_()
    loss = dice_ce(logits, torch.full_like(labels, IGNORE), DiceCE())
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


@pytest.mark.parametrize("batch", [True, False])
def test_an_organ_nobody_annotated_may_hide_in_the_background(batch: bool) -> None:
    _, truth = _case()
    annotated = torch.where(truth == 3, 0, truth)
    known = torch.tensor([[True, True, True, False]] * 2)
    logits = _perfect(truth).requires_grad_()
    loss = dice_ce(logits, annotated, DiceCE(batch=batch), known=known)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert dice_ce(logits, annotated, DiceCE(batch=batch)).item() > 1


def test_each_sample_has_its_own_annotated_organs() -> None:
    _, truth = _case()
    known = torch.tensor([[True] * 4, [True, False, True, True]])
    missed = torch.where((truth == 1) & (torch.arange(2).reshape(2, 1, 1, 1) == 1), 0, truth)
    for prediction in (truth, missed):
        loss = dice_ce(_perfect(prediction), missed, DiceCE(), known=known)
        assert loss.item() == pytest.approx(0.0, abs=1e-5)
    swapped = dice_ce(_perfect(truth), missed, DiceCE(), known=known.flip(0))
    assert float(swapped) > 1
