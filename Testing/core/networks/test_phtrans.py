"""PHTrans at a tiny size: shapes, gradients, ramp, initialization, life without storage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from FlareMRCore.errors import InputError, UsageError  # noqa: E402
from FlareMRCore.networks.phtrans import (  # noqa: E402
    ParallelLevel,
    PHTrans,
    PHTransPlan,
    drop_path_rate,
)
from FlareMRCore.networks.swin import SwinBlock  # noqa: E402

pytestmark = pytest.mark.torch

TINY = PHTransPlan(
    input_shape=(32, 32, 64),
    classes=3,
    base_channels=2,
    max_channels=20,
    heads=(2, 4, 4),
    window=(2, 2, 2),
    mlp_ratio=1.0,
    drop_path=0.7,
)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn((1, 1, *TINY.input_shape), generator=torch.Generator().manual_seed(0))


def test_evaluation_gives_finite_logits_that_repeat(image: torch.Tensor) -> None:
    network = PHTrans(TINY).eval()
    with torch.no_grad():
        logits = network(image)
        assert torch.equal(network(image), logits)
    assert logits.shape == (1, 3, *TINY.input_shape)
    assert torch.isfinite(logits).all()


def test_training_returns_four_resolutions_and_reaches_every_parameter(
    image: torch.Tensor,
) -> None:
    network = PHTrans(replace(TINY, drop_path=0.0)).train()
    outputs = network(image)
    assert [tuple(level.shape[2:]) for level in outputs] == [
        (32, 32, 64),
        (16, 16, 32),
        (8, 8, 16),
        (4, 4, 8),
    ]
    sum(level.square().mean() for level in outputs).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_gradients_over_two_slices_are_right_in_bfloat16() -> None:
    torch.manual_seed(0)
    plan = replace(TINY, base_channels=16, max_channels=200, drop_path=0.0, dropout=0.0)
    level = ParallelLevel(plan, 4, decoder=False)
    x = torch.randn((1, plan.channels(4), *plan.shape(4)))
    gradients = []
    for enabled in (True, False):
        level.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = level(x, x)
        y.float().square().mean().backward()
        gradients.append([level.convs[n].weight.grad.clone() for n in (0, 4)])
    for half, full in zip(*gradients, strict=True):
        assert (half - full).norm() < 0.1 * full.norm()


def test_two_samples_give_what_each_gives_alone(image: torch.Tensor) -> None:
    network = PHTrans(TINY).eval()
    pair = torch.cat((image, image.flip(2)))
    with torch.no_grad():
        alone = torch.cat((network(pair[:1]), network(pair[1:])))
        torch.testing.assert_close(network(pair), alone, rtol=1e-4, atol=1e-5)


def test_the_ramp_ends_at_five_sevenths_of_the_rate() -> None:
    rates = [b.drop_path.rate for b in PHTrans(TINY).encoder.modules() if isinstance(b, SwinBlock)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert drop_path_rate(TINY, 7) == pytest.approx(0.7)


def test_new_weights_follow_the_published_distributions() -> None:
    torch.manual_seed(0)
    network = PHTrans(replace(TINY, base_channels=16, max_channels=200, qkv_bias=True))
    conv = network.encoder[4].convs[0]
    assert conv.weight.std().item() == pytest.approx((2 / (200 * 27)) ** 0.5, rel=0.02)
    linear = network.encoder[4].swin.regular.attention.qkv
    assert linear.weight.std().item() == pytest.approx(0.02, rel=0.03)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv3d) and module.bias is not None:
            assert not module.bias.any()


def test_a_network_built_without_storage_works_after_loading(image: torch.Tensor) -> None:
    network = PHTrans(TINY).eval()
    with torch.device("meta"):
        empty = PHTrans(TINY).eval()
    empty.load_state_dict(network.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(empty(image), network(image))


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(32, 32, 64\)"):
        PHTrans(TINY)(torch.zeros(1, 1, 64, 32, 64))


@pytest.mark.parametrize("change", [{"input_shape": (32, 32, 48)}, {"heads": (3, 4, 4)}], ids=str)
def test_an_impossible_plan_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(TINY, **change)
