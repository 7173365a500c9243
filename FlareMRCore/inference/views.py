"""Views for test-time augmentation: the input turned over or zoomed, the logits turned back."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from FlareMRCore.data.geometry import Shape
from FlareMRCore.errors import WeightsError

IDENTITY = "identity"
_AXES = {"K": 2, "J": 3, "I": 4}


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a network input.

    Attributes:
        name: ``"identity"``, ``"flip-KJI"`` with any of the axes, or ``"zoom-0.94"``.
        flips: tensor axes that are turned over.
        zoom: factor of the number of voxels along each axis.
    """

    name: str
    flips: tuple[int, ...] = ()
    zoom: float = 1.0


def parse_view(name: str) -> View:
    """The view called `name`.

    Channels keep their meaning under a flip of I, as in the papers: only weights trained on
    mirrored anatomy may declare such a view.

    Raises:
        WeightsError: no such view.
    """
    if name == IDENTITY:
        return View(name)
    flip = re.fullmatch(r"flip-([KJI]{1,3})", name)
    if flip and len(set(flip[1])) == len(flip[1]):
        return View(name, flips=tuple(_AXES[letter] for letter in flip[1]))
    zoom = re.fullmatch(r"zoom-(\d+(?:\.\d+)?)", name)
    if zoom and 0.5 <= float(zoom[1]) <= 2.0:
        return View(name, zoom=float(zoom[1]))
    raise WeightsError(
        f"There is no view '{name}'.",
        code="weights.views",
        hint="Views are 'flip-' with axes out of K, J and I, and 'zoom-' with 0.5 to 2.",
    )


def view_names(declared: tuple[str, ...], *, limit: int | None) -> tuple[str, ...]:
    """Identity and the `declared` views, together at most `limit` (None: all)."""
    extra = tuple(name for name in dict.fromkeys(declared) if name != IDENTITY)
    for name in extra:
        parse_view(name)
    names = (IDENTITY, *extra)
    return names if limit is None else names[: max(1, limit)]


def apply_view(x: Tensor, view: View) -> Tensor:
    """Input (1, C, K, J, I) as seen by `view`; a zoomed one has another shape."""
    if view.flips:
        return torch.flip(x, view.flips)
    if view.zoom != 1.0:
        return _resized(x, _zoomed((x.shape[2], x.shape[3], x.shape[4]), view.zoom))
    return x


def undo_view(logits: Tensor, view: View, shape: Shape) -> Tensor:
    """Logits (1, classes, K, J, I) of a view, back on the grid of the input of `shape`."""
    if view.flips:
        return torch.flip(logits, view.flips)
    if view.zoom != 1.0:
        return _resized(logits, shape)
    return logits


def _zoomed(shape: Shape, zoom: float) -> Shape:
    k, j, i = (max(1, round(n * zoom)) for n in shape)
    return k, j, i


def _resized(x: Tensor, shape: Shape) -> Tensor:
    return functional.interpolate(x, size=shape, mode="trilinear", align_corners=False)
