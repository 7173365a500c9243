import pytest
import torch
from torch import nn

from FlareMRCore.training.checkpoint import update_average
from FlareMRCore.training.learning_parameters import Averaging
from FlareMRCore.training.mean_teacher import (
    average_decay,
    averaged_names,
    teacher_outputs,
)


def test_the_rules() -> None:
    teacher = Averaging("teacher", 0.99)
    assert [average_decay(teacher, t) for t in (1, 2, 3)] == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    assert average_decay(teacher, 98) == pytest.approx(98 / 99)
    assert average_decay(teacher, 100) == average_decay(teacher, 10**6) == 0.99
    assert average_decay(Averaging("constant", 0.999), 1) == 0.999
    assert average_decay(Averaging("gentle", 0.995), 10) == 0.5


def test_the_average_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.tensor([[0.0]])}
    expected = 0.0
    for step, value in enumerate((1.0, 3.0, -2.0), 1):
        nn.init.constant_(layer.weight, value)
        decay = average_decay(Averaging("teacher", 0.99), step)
        update_average(average, layer, decay)
        expected = decay * expected + (1 - decay) * value
    assert float(average["weight"]) == pytest.approx(expected)


def test_counters_are_copied_and_parts_may_be_left_out() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    names = averaged_names(network, Averaging("constant", prefixes=("1.",)))
    assert names == tuple(n for n in network.state_dict() if n.startswith("1."))
    assert averaged_names(network, Averaging("none")) == ()
    average = {name: network.state_dict()[name].clone() for name in names}
    network(torch.randn(2, 1, 3, 3))
    update_average(average, network, 0.5)
    assert int(average["1.num_batches_tracked"]) == 1


def test_the_teacher_is_the_network_with_other_weights_and_leaves_it_alone() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = {name: value * 2 for name, value in before.items()}
    network.eval()
    x = torch.ones(1, 2)
    (outputs,) = teacher_outputs(network, average, x)
    assert torch.allclose(outputs, 2 * network(x))
    assert not outputs.requires_grad
    network.train()
    seen = {bool((teacher_outputs(network, average, x)[0] == 0).any()) for _ in range(20)}
    assert seen == {True, False}  # dropout is at work
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in before)
