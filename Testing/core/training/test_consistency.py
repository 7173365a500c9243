import math

import pytest
import torch

from FlareMRCore.training.consistency import (
    consistency_loss,
    consistency_weight,
    teacher_noise,
    union_with_truth,
)


def test_the_ramp() -> None:
    assert consistency_weight(0, 1000) == pytest.approx(0.1 * math.exp(-5))
    assert consistency_weight(500, 1000) == pytest.approx(0.1 * math.exp(-1.25))
    assert consistency_weight(1000, 1000) == consistency_weight(2000, 1000) == 0.1


def test_agreement_costs_nothing_and_the_teacher_gets_no_gradient() -> None:
    torch.manual_seed(0)
    student = torch.randn(2, 14, 3, 3, 3, requires_grad=True)
    teacher = torch.randn(2, 14, 3, 3, 3, requires_grad=True)
    assert consistency_loss(student, student + 5).item() == pytest.approx(0.0, abs=1e-12)
    loss = consistency_loss(student, teacher)
    expected = torch.nn.functional.mse_loss(student.softmax(1), teacher.softmax(1))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert float(student.grad.abs().max()) > 0


def test_the_union_keeps_truth_and_teacher() -> None:
    teacher = torch.tensor([[[5.0, 0, 5, 0], [0.0, 5, 0, 5]]])
    labels = torch.tensor([[1, 0, 0, 1]])
    assert union_with_truth(teacher, labels).tolist() == [[1, 1, 0, 1]]


def test_the_teacher_sees_limited_noise() -> None:
    image = torch.zeros(1, 1, 20, 20, 20)
    noisy = teacher_noise(image, torch.Generator().manual_seed(1))
    assert torch.equal(noisy, teacher_noise(image, torch.Generator().manual_seed(1)))
    assert float(noisy.abs().max()) == pytest.approx(0.2)
    assert float(noisy.std()) == pytest.approx(0.0959, abs=0.003)
