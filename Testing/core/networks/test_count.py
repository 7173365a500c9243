"""Costs that can be computed by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from FlareMRCore.networks.count import network_cost  # noqa: E402

pytestmark = pytest.mark.torch


def test_convolution_by_hand() -> None:
    cost = network_cost(lambda: torch.nn.Conv3d(2, 5, 3, padding=1), [(2, 4, 6, 8)])
    assert cost.parameters == 2 * 5 * 27 + 5
    assert cost.gmacs == pytest.approx(2 * 5 * 27 * (4 * 6 * 8) / 1e9)


def test_strided_and_transposed_convolution_by_hand() -> None:
    down = network_cost(lambda: torch.nn.Conv2d(1, 3, 2, 2), [(1, 8, 8)])
    up = network_cost(lambda: torch.nn.ConvTranspose2d(3, 1, 2, 2), [(3, 4, 4)])
    assert down.gmacs == pytest.approx(3 * 4 * 16 / 1e9)
    assert up.gmacs == pytest.approx(3 * 4 * 16 / 1e9)


def test_several_inputs() -> None:
    cost = network_cost(lambda: torch.nn.Bilinear(2, 3, 4), [(2,), (3,)])
    assert cost.parameters == 4 * 6 + 4
