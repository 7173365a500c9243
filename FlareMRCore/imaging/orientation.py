"""Turning arrays to a named axis order: permutations and flips only, never interpolation."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import AXIS_LETTERS, Geometry, Triple, nearest_axes
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError

CANONICAL = "SAR"
"""Axis order of the engine: K runs to superior, J to anterior, I to right."""

ScalarT = TypeVar("ScalarT", bound=np.generic)

_AXIS_OF_LETTER = {letter: axis for axis, pair in enumerate(AXIS_LETTERS) for letter in pair}


def reorient(volume: Volume, codes: str = CANONICAL) -> Volume:
    """The same voxels with array axes (K, J, I) that run nearest to `codes`; contiguous array.

    Reorienting to the original `axis_codes` gives back the voxels exactly and the grid to
    rounding of its origin.

    Raises:
        UsageError: `codes` does not name three different axes.
    """
    array, geometry = orient_array(volume.array, volume.geometry, codes)
    return Volume(np.ascontiguousarray(array), geometry)


def reorient_labels(label_map: LabelMap, codes: str = CANONICAL) -> LabelMap:
    """The same labels with array axes (K, J, I) that run nearest to `codes`; see `reorient`."""
    array, geometry = orient_array(label_map.array, label_map.geometry, codes)
    return LabelMap(np.ascontiguousarray(array), geometry, label_map.labels)


def orient_array(
    array: NDArray[ScalarT], source: Geometry, codes: str = CANONICAL
) -> tuple[NDArray[ScalarT], Geometry]:
    """View of `array` with axes along `codes`, and its grid; nothing is copied.

    The strides of the view may be negative, which torch does not accept.

    Args:
        array: values on the grid `source`, axes (K, J, I).
        source: grid of `array`, oblique or not.
        codes: one letter of L/R, P/A and I/S for each of the axes K, J, I of the result.

    Raises:
        UsageError: `codes` does not name three different axes.
    """
    order, flips = _permutation(source, codes)
    step = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return array.transpose(order)[step], _permuted(source, order, flips)


def _permutation(
    source: Geometry, codes: str
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For each axis of the result: the source axis, and whether it runs backwards."""
    wanted = [_AXIS_OF_LETTER.get(letter, -1) for letter in codes]
    if sorted(wanted) != [0, 1, 2]:
        raise UsageError(
            f"An orientation is one letter each of L/R, P/A and I/S, such as '{CANONICAL}'; "
            f"found '{codes}'.",
            code="usage.orientation",
        )
    axes, _ = nearest_axes(source.direction)
    found = source.axis_codes
    k, j, i = (axes.index(axis) for axis in wanted)
    flip_k, flip_j, flip_i = (
        found[n] != letter for n, letter in zip((k, j, i), codes, strict=True)
    )
    return (k, j, i), (flip_k, flip_j, flip_i)


def _permuted(
    source: Geometry, order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> Geometry:
    corner = [0.0, 0.0, 0.0]
    directions: list[Triple] = []
    for axis, flip in zip(order, flips, strict=True):
        r, a, s = source.direction[axis]
        # Subtracting from zero keeps -0.0 out of files and reports.
        directions.append((0.0 - r, 0.0 - a, 0.0 - s) if flip else (r, a, s))
        corner[axis] = source.shape[axis] - 1.0 if flip else 0.0
    origin = source.index_to_world(np.array(corner)) if any(flips) else np.array(source.origin)
    k, j, i = order
    return replace(
        source,
        shape=(source.shape[k], source.shape[j], source.shape[i]),
        spacing_mm=(source.spacing_mm[k], source.spacing_mm[j], source.spacing_mm[i]),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=(directions[0], directions[1], directions[2]),
    )
