"""Bringing MR intensities, which have no unit, to one scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import InputError
from FlareMRCore.imaging.body_mask import otsu_threshold, strided_sample

FloatArray = NDArray[np.float32]
HIGH_PERCENTILE = 99.5
LIMIT = 5.0
"""Standardized values are clipped to plus and minus this many standard deviations."""


@dataclass(frozen=True, slots=True)
class IntensityStatistics:
    """Intensities of the foreground of one image, in the image's own unit.

    Attributes:
        threshold: values above it are foreground.
        high: 99.5th percentile of the foreground; brighter values are cut to it.
        mean: mean of the foreground cut at `high`.
        std: standard deviation of the foreground cut at `high`, positive.
    """

    threshold: float
    high: float
    mean: float
    std: float


def foreground_statistics(array: NDArray[np.generic]) -> IntensityStatistics:
    """Statistics of the voxels that are neither padding nor air.

    Voxels that equal the array's minimum are padding and do not count; of the others, those
    above Otsu's threshold are foreground. a*x+b with a > 0 changes all four numbers in the same
    way. At most about 500 000 voxels, evenly spread and always the same ones, are looked at.

    Args:
        array: intensities of any shape and real type.

    Raises:
        InputError: the image is empty, constant, not finite or has a single foreground value.
    """
    low = float(array.min()) if array.size else 0.0
    sample = strided_sample(array).astype(np.float64)
    valid = sample[sample != low]
    if not valid.size or not np.isfinite(valid).all():
        # A bright spot may fall between the samples; only the whole array tells.
        valid = array[array != low].astype(np.float64)
    if not valid.size or not np.isfinite(valid).all() or valid.min() == valid.max():
        raise _no_contrast(array)
    threshold = otsu_threshold(np.minimum(valid, np.percentile(valid, HIGH_PERCENTILE)))
    foreground = valid[valid > threshold]
    high = float(np.percentile(foreground, HIGH_PERCENTILE))
    cut = np.minimum(foreground, high)
    mean, std = float(cut.mean()), float(cut.std())
    if std <= 1e-6 * max(abs(mean), abs(low)):
        raise _no_contrast(array)
    return IntensityStatistics(threshold, high, mean, std)


def standardize(array: NDArray[np.generic], statistics: IntensityStatistics) -> FloatArray:
    """(min(x, high) - mean) / std, clipped to -5 to 5; same shape, float32, a new array."""
    # The mean is rounded to float32 and its remainder added after scaling: nothing is lost to a
    # large offset, without a float64 copy of the image.
    mean = np.float32(statistics.mean)
    remainder = (float(mean) - statistics.mean) / statistics.std
    result: FloatArray = np.minimum(array, np.float32(statistics.high), dtype=np.float32)
    result -= mean
    result *= np.float32(1.0 / statistics.std)
    result += np.float32(remainder)
    np.clip(result, -LIMIT, LIMIT, out=result)
    return result


def _no_contrast(array: NDArray[np.generic]) -> InputError:
    span = f"{array.min()} to {array.max()}" if array.size else "none"
    return InputError(
        f"The image has no usable contrast: shape {array.shape}, values {span}.",
        code="input.constant",
        hint="Check that the file holds an image and not a mask or a failed export.",
    )
