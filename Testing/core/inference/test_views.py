"""Views and their inverses."""

import pytest
import torch

from FlareMRCore.errors import WeightsError
from FlareMRCore.inference.views import apply_view, parse_view, undo_view, view_names

X = torch.randn(1, 2, 6, 8, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["identity", "flip-K", "flip-J", "flip-I", "flip-KJI", "flip-JI"])
def test_flips_are_undone_exactly(name: str) -> None:
    view = parse_view(name)
    assert torch.equal(undo_view(apply_view(X, view), view, (6, 8, 10)), X)


def test_flip_of_k_turns_the_first_spatial_axis() -> None:
    seen = apply_view(X, parse_view("flip-K"))
    assert torch.equal(seen[0, 0, 0], X[0, 0, 5])


@pytest.mark.parametrize("name", ["zoom-0.5", "zoom-0.94", "zoom-1.06", "zoom-2"])
def test_zoom_keeps_a_linear_image_and_its_grid(name: str) -> None:
    ramp = torch.linspace(0, 1, 40).expand(1, 1, 20, 30, 40)
    view = parse_view(name)
    seen = apply_view(ramp, view)
    assert seen.shape[4] == round(40 * view.zoom)
    back = undo_view(seen, view, (20, 30, 40))
    assert back.shape == ramp.shape
    inner = slice(3, -3)
    torch.testing.assert_close(back[..., inner], ramp[..., inner], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["flip-", "flip-KK", "flip-X", "zoom-9", "zoom-0", "turn-K", ""])
def test_unknown_views_are_refused(name: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parse_view(name)
    assert caught.value.code == "weights.views"


def test_names_start_with_identity_and_are_capped() -> None:
    declared = ("flip-K", "flip-K", "identity", "zoom-0.9")
    assert view_names(declared, limit=None) == ("identity", "flip-K", "zoom-0.9")
    assert view_names(declared, limit=2) == ("identity", "flip-K")
    assert view_names(declared, limit=1) == ("identity",)
