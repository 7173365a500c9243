"""The patient's body against air, by Otsu's threshold."""

import math

import cc3d
import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import nearest_axes
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.components import fill_holes

OTSU_BINS = 256
SAMPLE_SIZE = 500_000
_EDGE_SLACK = 1e-3
"""Share of a bin: whole-number images have values on bin edges, and rounding must not move them."""


def otsu_threshold(values: NDArray[np.generic], upper_percentile: float = 100.0) -> float:
    """Threshold that separates `values` into two classes of least variance.

    Scaling and shifting the values by a*x+b, a > 0, does the same to the threshold. Of several
    thresholds that are equally good (a gap between the classes) it is the middle one.

    Args:
        values: real values of any shape and type.
        upper_percentile: only values up to this percentile count; 80 keeps bright fat from
            pulling the threshold of an MR image into the body.

    Raises:
        InputError: no values, or all alike.

    Source: Otsu, IEEE Trans Syst Man Cybern 9 (1979) 62-66, with 256 bins.
    """
    flat = np.asarray(values).ravel().astype(np.float64)
    if flat.size and upper_percentile < 100:
        flat = flat[flat <= np.percentile(flat, upper_percentile)]
    low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 0.0)
    if not np.isfinite(high - low) or high <= low:
        raise InputError(
            f"The image has no contrast: its values go from {low:g} to {high:g}.",
            code="input.constant",
            hint="Check that the file holds an image and not an empty or a failed export.",
        )
    position = (flat - low) * (OTSU_BINS / (high - low)) + _EDGE_SLACK
    counts = np.bincount(np.minimum(position, OTSU_BINS - 1).astype(np.intp), minlength=OTSU_BINS)
    edge = _best_edge(counts.astype(np.float64)) - _EDGE_SLACK
    return low + edge * (high - low) / OTSU_BINS


def body_mask(volume: Volume, *, upper_percentile: float = 80.0) -> NDArray[np.bool_]:
    """True in the body, (K, J, I): above Otsu's threshold, largest component, no axial holes.

    Dark organs and air inside the body count as body where an axial slice encloses them.

    Raises:
        InputError: the image is constant.
    """
    threshold = otsu_threshold(strided_sample(volume.array), upper_percentile)
    labeled = cc3d.connected_components(np.ascontiguousarray(volume.array > threshold))
    sizes = np.bincount(labeled.ravel())
    sizes[0] = 0
    order, _ = nearest_axes(volume.geometry.direction)
    return fill_holes(labeled == sizes.argmax(), axis=order.index(2))


def strided_sample(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """At most about 500 000 of the values of `array`, evenly spread, always the same ones; 1-D.

    The step shares no factor with an axis, so that no row and no slice is favored.
    """
    step = max(1, math.ceil(array.size / SAMPLE_SIZE))
    while step > 1 and any(math.gcd(step, n) > 1 for n in array.shape):
        step += 1
    return array.ravel()[::step]


def _best_edge(counts: NDArray[np.float64]) -> float:
    """Bin edge with the largest variance between the two sides."""
    centers = np.arange(len(counts)) + 0.5
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sum_below = np.cumsum(counts * centers)[:-1]
    sum_above = (counts * centers).sum() - sum_below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sum_below / below - sum_above / above
    between = np.where((below > 0) & (above > 0), below * above * np.nan_to_num(gap) ** 2, -1.0)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    # Other edges with the same score lie beyond filled bins and would not be a gap.
    plateau = best[below[best] == below[best[0]]]
    return float(plateau.mean()) + 1.0
