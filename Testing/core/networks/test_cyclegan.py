"""CycleGAN's parts in 2-D and 3-D at a small width."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.errors import InputError  # noqa: E402
from FlareMRCore.networks.cyclegan import PatchDiscriminator, ResnetGenerator  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from gradients import bfloat16_gradient_error  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("dimensions", [2, 3])
def test_generator_keeps_the_size_and_reaches_every_parameter(dimensions: int) -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(dimensions, width=4, blocks=2)
    x = torch.randn(2, 1, *(8, 12, 16)[:dimensions])
    fake = network(x)
    assert fake.shape == x.shape
    assert fake.abs().max() <= 1
    fake.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_border_is_continued_as_asked() -> None:
    torch.manual_seed(0)
    reflect = ResnetGenerator(2, width=4, blocks=1, padding="reflect").eval()
    replicate = ResnetGenerator(2, width=4, blocks=1, padding="replicate").eval()
    replicate.load_state_dict(reflect.state_dict())
    x = torch.randn(1, 1, 16, 16)
    assert not torch.allclose(reflect(x), replicate(x))


def test_generator_ignores_scale_and_offset_of_the_image() -> None:
    network = ResnetGenerator(2, width=4, blocks=1).eval()
    x = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(100 * x + 20), network(10 * x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_discriminator_scores_patches_of_seventy_voxels(dimensions: int) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(dimensions, width=2)
    x = torch.randn(1, 1, *(24, 32, 40)[:dimensions])
    scores = network(x)
    assert scores.shape == (1, 1, *(1, 2, 3)[:dimensions])
    scores.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_new_weights_have_the_published_spread() -> None:
    torch.manual_seed(0)
    for network in (ResnetGenerator(2, width=16, blocks=2), PatchDiscriminator(2, width=16)):
        weights = torch.cat([p.flatten() for p in network.parameters() if p.ndim > 1])
        assert weights.std().item() == pytest.approx(0.02, rel=0.02)
        assert not any(p.any() for p in network.parameters() if p.ndim == 1)


@pytest.mark.parametrize("shape", [(4, 8), (10, 8), (8, 8, 8)])
def test_generator_refuses_a_size_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        ResnetGenerator(2, width=2, blocks=1)(torch.zeros(1, 1, *shape))


def test_discriminator_refuses_a_small_patch() -> None:
    with pytest.raises(InputError, match="24"):
        PatchDiscriminator(2, width=2)(torch.zeros(1, 1, 23, 64))


def test_the_gradients_of_the_discriminator_are_right_in_bfloat16() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(3, width=16)
    x = torch.randn(1, 1, 24, 32, 32)
    error = bfloat16_gradient_error(
        network, "layers.8.weight", x, lambda scores: (scores - 1).square().mean()
    )
    assert error < 0.1
