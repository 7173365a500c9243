"""A 2-D network on volumes."""

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.networks.builders import build_network  # noqa: E402
from FlareMRCore.networks.inputs import input_rules  # noqa: E402
from FlareMRCore.networks.slicewise import BATCH, SliceWise  # noqa: E402

pytestmark = pytest.mark.torch


def test_every_slice_is_seen_alone() -> None:
    torch.manual_seed(0)
    network = build_network("unet-mini-2d").eval()
    x = torch.rand((2, 1, BATCH + 3, 16, 24))
    with torch.inference_mode():
        volume = SliceWise(network)(x)
        one = network(x[1:, :, BATCH])
    assert volume.shape == (2, 16, BATCH + 3, 16, 24)
    torch.testing.assert_close(volume[1:, :, BATCH], one, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("builder", "axes", "multiple_of", "only_shape"),
    [
        ("unet-mini-2d", 2, (1, 8, 8), None),
        ("zhu2024-small", 3, (8, 16, 16), None),
        ("phtrans-mini", 3, (1, 1, 1), (32, 48, 64)),
        ("flaremr-coarse", 3, (16, 16, 16), None),
    ],
)
def test_networks_tell_what_input_they_take(
    builder: str,
    axes: int,
    multiple_of: tuple[int, int, int],
    only_shape: tuple[int, ...] | None,
) -> None:
    rules = input_rules(builder)
    assert (rules.axes, rules.multiple_of, rules.only_shape) == (axes, multiple_of, only_shape)
