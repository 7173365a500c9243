import math

import pytest
import torch
from torch import nn

from FlareMRCore.errors import UsageError
from FlareMRCore.training.learning_parameters import Optimization
from FlareMRCore.training.optimizers import AdaBelief, build_optimizer


def _updates(values: list[float], *, betas: tuple[float, float], weight_decay: float) -> float:
    """The parameter 1.0 after one update per gradient, computed number by number."""
    x, mean, surprise, lr, eps = 1.0, 0.0, 0.0, 0.1, 1e-8
    first, second = betas
    for t, gradient in enumerate(values, 1):
        x -= lr * weight_decay * x
        mean = first * mean + (1 - first) * gradient
        surprise = second * surprise + (1 - second) * (gradient - mean) ** 2 + eps
        longest = 2 / (1 - second) - 1
        length = longest - 2 * t * second**t / (1 - second**t)
        if length >= 5:
            r = math.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            )
            debiased = math.sqrt(surprise / (1 - second**t)) + eps / math.sqrt(1 - second**t)
            x -= lr * r * mean / (1 - first**t) / debiased
        else:
            x -= lr * mean / (1 - first**t)
    return x


@pytest.mark.parametrize("betas", [(0.5, 0.9), (0.9, 0.999)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_adabelief_follows_its_formula(betas: tuple[float, float], weight_decay: float) -> None:
    gradients = [0.5, -0.2, 0.9, 0.4, 0.35, 0.3, 0.1, -0.6, 0.2, 0.15]
    parameter = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = AdaBelief([parameter], lr=0.1, betas=betas, eps=1e-8, weight_decay=weight_decay)
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    expected = _updates(gradients, betas=betas, weight_decay=weight_decay)
    assert parameter.item() == pytest.approx(expected, rel=1e-10)


def test_adabelief_finds_a_minimum_and_skips_what_has_no_gradient() -> None:
    x, untouched = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([1.0]))
    optimizer = AdaBelief([x, untouched], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = optimizer.step(lambda: _square(x))
    assert loss is not None
    assert x.detach().abs().item() < 0.05
    assert untouched.item() == 1.0


def _square(x: torch.Tensor) -> float:
    loss = (x**2).sum()
    loss.backward()
    return loss.item()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sgd", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("adabelief", AdaBelief),
    ],
)
def test_every_optimizer_can_be_built(name: str, kind: type) -> None:
    layer = nn.Linear(2, 2)
    optimization = Optimization(name, learning_rate=0.3)  # type: ignore[arg-type]
    optimizer = build_optimizer(dict(layer.named_parameters()), optimization)
    assert isinstance(optimizer, kind)
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_decay_may_spare_biases_and_norms() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2, affine=True))
    optimization = Optimization(weight_decay=0.01, decay_vectors=False)
    groups = build_optimizer(dict(network.named_parameters()), optimization).param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert [len(group["params"]) for group in groups] == [1, 3]


def test_an_unknown_optimizer_and_nothing_to_train_are_refused() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="Known: sgd"):
        build_optimizer(dict(layer.named_parameters()), Optimization("lion"))  # type: ignore[arg-type]
    layer.requires_grad_(False)
    with pytest.raises(UsageError, match="frozen"):
        build_optimizer(dict(layer.named_parameters()), Optimization())
