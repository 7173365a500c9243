"""The region of interest: where the fine network looks, from what the coarse one found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Box, Geometry, Shape
from FlareMRCore.data.labels import LabelTable
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import remove_small_components
from FlareMRCore.imaging.cropping import foreground_box

MIN_PIECE_ML = 20.0
"""Smaller pieces do not widen the region. Larger ones do, even apart from the largest one: a kidney
touches nothing, and cutting it off costs more than looking at a false find."""

SIDES = (("inferior", "superior"), ("posterior", "anterior"), ("left", "right"))
"""Names of the low and high side of the axes K, J, I in the engine's axis order."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box of the image and how it came about.

    Attributes:
        box: voxel range in the image.
        note: one sentence for the report.
        found: False if there was no foreground, so that the box is the whole image.
    """

    box: Box
    note: str
    found: bool = True


def whole_region(shape: Shape, note: str, *, found: bool = True) -> Region:
    """The whole image as region."""
    return Region(Box((0, 0, 0), shape), note, found)


def find_region(foreground: NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> Region:
    """Box around the pieces of `foreground`, with a margin, in the voxels of `geometry`.

    Where a piece reaches the end of the image, so does the box: organs may be cut off there.
    Without foreground the region is the whole image.

    Args:
        foreground: mask (k, j, i) on a coarse grid over the space of `geometry`.
        geometry: grid of the image, with axes S, A, R.
        margin_mm: what is added on each side.
    """
    coarse = geometry.resized(_shape(foreground))
    box = foreground_box(_substantial(foreground, coarse))
    if box is None:
        note = "The coarse network found nothing; the fine network looks at the whole image."
        return whole_region(geometry.shape, note, found=False)
    ranges: list[tuple[int, int]] = []
    cut: list[str] = []
    for axis, (low_side, high_side) in enumerate(SIDES):
        n, m = coarse.shape[axis], geometry.shape[axis]
        margin = math.ceil(margin_mm / geometry.spacing_mm[axis])
        a, b = box.start[axis], box.stop[axis]
        ranges.append(
            (
                0 if a == 0 else max(0, math.floor(a * m / n) - margin),
                m if b == n else min(m, math.ceil(b * m / n) + margin),
            )
        )
        cut += [side for side, at_end in ((low_side, a == 0), (high_side, b == n)) if at_end]
    (k0, k1), (j0, j1), (i0, i1) = ranges
    note = "The region surrounds what the coarse network found."
    if cut:
        note += f" It reaches the end of the image ({', '.join(cut)}) and extends up to it."
    return Region(Box((k0, j0, i0), (k1, j1, i1)), note)


def _substantial(foreground: NDArray[np.bool_], grid: Geometry) -> NDArray[np.bool_]:
    """Foreground without small pieces, of which the largest one always stays."""
    labels = LabelMap(foreground.astype(np.uint8), grid, LabelTable(()))
    kept: NDArray[np.bool_] = remove_small_components(labels, min_volume_ml=MIN_PIECE_ML).array > 0
    return kept


def _shape(array: NDArray[np.generic]) -> Shape:
    k, j, i = array.shape
    return k, j, i
