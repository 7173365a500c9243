"""The region of interest: where the fine network looks, from what the coarse one found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Box, Geometry, Shape, Triple
from FlareMRCore.data.labels import LabelTable
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import remove_small_components
from FlareMRCore.imaging.cropping import foreground_box
from FlareMRCore.inference.network_grid import axis_mapping

MIN_PIECE_ML = 20.0
"""Smaller pieces do not widen the region. Larger ones do, even apart from the largest one: a kidney
touches nothing, and cutting it off costs more than looking at a false find."""

EDGE_VOX = 1e-4
"""Rounding of positions; edges this close coincide."""

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


def find_region(
    foreground: NDArray[np.bool_],
    coarse: Geometry,
    image: Geometry,
    *,
    margin_mm: float | Triple,
) -> Region:
    """Box around the pieces of `foreground`, with a margin, in the voxels of `image`.

    Where a piece reaches the end of the image, so does the box: organs may be cut off there.
    Without foreground the region is the whole image.

    Args:
        foreground: mask (k, j, i) on the grid `coarse`.
        coarse: grid parallel to `image` that covers at least the image.
        image: grid of the image, with axes S, A, R.
        margin_mm: what is added on each side; one number, or three for (K, J, I).
    """
    box = foreground_box(_substantial(foreground, coarse))
    if box is None:
        note = "The coarse network found nothing; the fine network looks at the whole image."
        return whole_region(image.shape, note, found=False)
    margins = margin_mm if isinstance(margin_mm, tuple) else (margin_mm,) * 3
    ranges: list[tuple[int, int]] = []
    cut: list[str] = []
    for axis, (low_side, high_side) in enumerate(SIDES):
        first, ratio = axis_mapping(coarse, image, axis)
        low = first + (box.start[axis] - 0.5) * ratio + 0.5
        high = first + (box.stop[axis] - 0.5) * ratio + 0.5
        length, margin = image.shape[axis], margins[axis] / image.spacing_mm[axis]
        at_low, at_high = low <= EDGE_VOX, high >= length - EDGE_VOX
        ranges.append(
            (
                0 if at_low else max(0, math.floor(low - margin + EDGE_VOX)),
                length if at_high else min(length, math.ceil(high + margin - EDGE_VOX)),
            )
        )
        cut += [side for side, at_end in ((low_side, at_low), (high_side, at_high)) if at_end]
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
