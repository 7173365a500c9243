import pytest
import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.networks.blocks import BlockStyle
from FlareMRCore.networks.unet import Branch, UNet, UNetPlan
from FlareMRCore.training.freezing import freeze, held_still
from FlareMRCore.training.learning_parameters import Optimization
from FlareMRCore.training.optimizers import build_optimizer


def _dual() -> UNet:
    branches = (Branch("organs", 3), Branch("tumor", 2))
    return UNet(
        UNetPlan(1, (4, 8), ((3, 3),) * 2, ((2, 2),), branches, BlockStyle(2, negative_slope=0.1))
    )


def test_only_the_other_branch_moves() -> None:
    torch.manual_seed(0)
    network = _dual()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen = freeze(network, ("encoder.", "branches.tumor."))
    optimization = Optimization("adamw", learning_rate=0.1, weight_decay=0.1)
    optimizer = build_optimizer(dict(network.named_parameters()), optimization)
    network(torch.randn(1, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    same = {n for n, value in network.state_dict().items() if torch.equal(before[n], value)}
    assert same == set(frozen)
    assert any(name.startswith("branches.organs.") for name in before.keys() - same)


def test_freezing_nothing_frees_everything() -> None:
    network = _dual()
    freeze(network, ("encoder.",))
    assert freeze(network, ()) == ()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_prefix_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="encoder"):
        freeze(_dual(), ("enkoder.",))


def test_held_still_lets_gradients_through_and_remembers_what_was_frozen() -> None:
    network = _dual()
    freeze(network, ("branches.tumor.",))
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    with held_still(network):
        network(x).square().mean().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in network.parameters())
    moving = {name for name, p in network.named_parameters() if p.requires_grad}
    assert moving == {n for n, _ in network.named_parameters() if "tumor" not in n}
