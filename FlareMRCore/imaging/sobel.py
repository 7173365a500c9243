"""Edges of an image: the space in which CT and MR look alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.geometry import Triple
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.body_mask import strided_sample

SOFT_TISSUE_HU = (-160.0, 240.0)
MR_PERCENTILES = (0.5, 99.5)
SCALE_PERCENTILE = 99.5


def sobel_magnitude(array: NDArray[Any], spacing_mm: Triple) -> NDArray[np.float32]:
    """Length of the gradient of `array` (K, J, I) by 3-D Sobel filters, intensity per mm.

    Each component is a central difference, smoothed with (1, 2, 1) / 4 along the other two axes;
    border values are repeated. A ramp of g per mm has magnitude g inside.

    Source: Sobel and Feldman (1968), in three dimensions and divided by the spacing.
    """
    values = array.astype(np.float32, copy=False)
    squares = np.zeros(values.shape, dtype=np.float32)
    for axis, spacing in enumerate(spacing_mm):
        component = values
        for other in range(3):
            weights = [-0.5, 0.0, 0.5] if other == axis else [0.25, 0.5, 0.25]
            component = ndimage.correlate1d(component, weights, axis=other, mode="nearest")
        component /= np.float32(spacing)
        squares += component * component
    return np.sqrt(squares)


def edge_image(volume: Volume, modality: str) -> Volume:
    """Edges of `volume` from -1 (none) to 1 (the strongest half percent), on its grid.

    CT is cut to the soft-tissue window first, MR to its 0.5th and 99.5th percentile. All -1 if
    the image is constant.

    Raises:
        UsageError: the modality is neither CT nor MR.

    Source: Zhu et al., FLARE24 task 3, who translate Sobel-filtered images; window, percentiles
        and scale are our choice, they give none.
    """
    if modality not in ("CT", "MR"):
        raise UsageError(f"The modality is CT or MR; found '{modality}'.", code="usage.modality")
    low, high = SOFT_TISSUE_HU
    if modality == "MR":
        low, high = np.percentile(_sample(volume.array), MR_PERCENTILES)
    clipped = np.clip(volume.array, np.float32(low), np.float32(high))
    edges = sobel_magnitude(clipped, volume.geometry.spacing_mm)
    scale = float(np.percentile(_sample(edges), SCALE_PERCENTILE)) or float(edges.max())
    if scale > 0:
        edges = np.minimum(edges / np.float32(scale), np.float32(1))
    return Volume(edges * 2 - 1, volume.geometry)


def _sample(array: NDArray[np.float32]) -> NDArray[np.float64]:
    return strided_sample(array).astype(np.float64)
