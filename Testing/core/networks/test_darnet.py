"""DARNet's parts at a small width: shapes, adaptive norm, depth that follows the image."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.errors import InputError, UsageError  # noqa: E402
from FlareMRCore.networks.darnet import (  # noqa: E402
    ContentBlock,
    ContentDiscriminator,
    DARNet,
    ImageDiscriminator,
    StyleDecoder,
    StyleEncoder,
    adaptive_norm,
    content_depth,
    image_depth,
    style_depth,
)

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def network() -> DARNet:
    torch.manual_seed(0)
    return DARNet(("ct", "mr"), width=4)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn((2, 1, 64, 80), generator=torch.Generator().manual_seed(0))


def test_content_style_and_image_have_the_promised_shapes(
    network: DARNet, image: torch.Tensor
) -> None:
    content, style = network.content(image), network.style_of(image, "ct")
    assert content.shape == (2, 16, 16, 20)
    assert style.shape == (2, 8)
    fake = network(image, style)
    assert fake.shape == image.shape
    assert fake.abs().max() <= 1


def test_training_reaches_every_parameter(network: DARNet, image: torch.Tensor) -> None:
    styles = network.style_of(image, "ct") + network.style_of(image, "mr")
    network(image, styles).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_the_style_decides_the_look_and_belongs_to_its_sample(
    network: DARNet, image: torch.Tensor
) -> None:
    style = torch.randn((2, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        both = network(image, style)
        swapped = network(image, style.flip(0))
        alone = network(image[:1], style[:1])
    assert not torch.allclose(both, swapped, atol=1e-3)
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-4)


def test_every_style_number_reaches_a_norm_once() -> None:
    decoder = StyleDecoder()
    assert sum(decoder.sizes) == decoder.perceptron[-1].out_features == 2496


def test_adaptive_norm_by_hand() -> None:
    x = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])
    offset_and_scale = torch.tensor([[10.0, 20.0, 1.0, -0.5]])
    expected = torch.tensor([[[[8.0, 12.0]], [[19.5, 20.5]]]])
    torch.testing.assert_close(adaptive_norm(x, offset_and_scale), expected, atol=1e-4, rtol=0)


def test_adaptive_norm_with_zeros_is_instance_norm() -> None:
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.InstanceNorm2d(3)(x)
    assert torch.equal(adaptive_norm(x, torch.zeros(2, 6)), plain)


def test_a_content_block_keeps_its_input() -> None:
    block = ContentBlock(4)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    total = block(x)
    assert torch.equal(x, before)
    torch.testing.assert_close(total * 2**0.5 - x, block.layers(x))


@pytest.mark.parametrize(
    ("size", "depth"), [(11, 1), (26, 1), (27, 2), (58, 2), (59, 3), (122, 3), (123, 4), (999, 4)]
)
def test_depth_of_the_content_discriminator(size: int, depth: int) -> None:
    assert content_depth(size) == depth
    scores = ContentDiscriminator((size, 130), width=1)(torch.randn(1, 4, size, 130))
    assert scores.shape[:2] == (1, 1)


@pytest.mark.parametrize(
    ("size", "depth"), [(8, 1), (31, 1), (32, 2), (64, 3), (128, 4), (256, 5), (512, 5)]
)
def test_depth_of_the_style_encoder_leaves_eight_pixels(size: int, depth: int) -> None:
    assert style_depth(size) == depth
    encoder = StyleEncoder(2, steps=depth)
    assert encoder(torch.randn(1, 1, 64, 64)).shape == (1, 8)


@pytest.mark.parametrize("size", [4, 7, 8, 15, 16, 31, 63, 64, 500])
def test_depth_of_the_image_discriminator_leaves_two_pixels(size: int) -> None:
    depth = image_depth(size)
    assert 1 <= depth <= 5
    assert size >> depth >= 2
    assert depth == 5 or size >> (depth + 1) < 2


def test_image_discriminator_scores_three_scales_and_reaches_every_parameter() -> None:
    discriminator = ImageDiscriminator((64, 80), width=2)
    scores = discriminator(torch.randn(1, 1, 64, 80))
    assert [tuple(score.shape) for score in scores] == [
        (1, 1, 2, 2),
        (1, 1, 2, 2),
        (1, 1, 2, 2),
    ]
    sum(score.mean() for score in scores).backward()
    assert all(p.grad is not None for p in discriminator.parameters())


def test_what_is_too_small_is_refused(network: DARNet) -> None:
    with pytest.raises(UsageError, match="11"):
        ContentDiscriminator((10, 128))
    with pytest.raises(UsageError, match="4 pixels"):
        ImageDiscriminator((12, 128))
    with pytest.raises(InputError, match="64"):
        network.style_of(torch.zeros(1, 1, 32, 64), "ct")
    with pytest.raises(InputError, match="multiples"):
        network.content(torch.zeros(1, 1, 66, 64))
    with pytest.raises(UsageError, match="ct, mr"):
        network.style_of(torch.zeros(1, 1, 64, 64), "pet")
