"""Applies a `Normalization`, and finds the numbers of a fitted one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.normalization import Normalization
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.imaging.intensity import IntensityStatistics, foreground_statistics, standardize

FloatArray = NDArray[np.float32]
EPSILON = 1e-5
"""Added to deviations and ranges. Source: Li et al., FLARE 2024 task 3."""
FITTED_PERCENTILES = (0.5, 99.5)
SAMPLES_PER_CASE = 10_000
"""Annotated voxels of a case that a fit looks at. Source of both: nnU-Net v2."""


def normalize(
    array: FloatArray, how: Normalization, *, statistics: IntensityStatistics | None = None
) -> FloatArray:
    """`array` as `how` says, float32, a new array.

    Args:
        array: the network's input, any shape.
        how: see `Normalization`.
        statistics: foreground of the whole image, for ``"foreground"``; None: of `array`.

    Raises:
        UsageError: a fitted normalization that has not been fitted.
        InputError: ``"foreground"`` of a constant image.
    """
    if how.rule == "foreground":
        return standardize(array, statistics or foreground_statistics(array))
    values = array.astype(np.float64)
    if how.clip_percentiles:
        low, high = np.percentile(values, how.clip_percentiles)
        values = np.clip(values, low, high)
    if how.clip:
        values = np.clip(values, how.clip[0], how.clip[1])
    shift, scale = _line(values, how)
    result: FloatArray = ((values - shift) / scale).astype(np.float32)
    return result


def fitted(how: Normalization, samples: Sequence[FloatArray]) -> Normalization:
    """`how` with the numbers of the annotated voxels, if its rule is ``"fitted"``; else itself.

    Args:
        how: see `Normalization`; `clip` stays if given, else it becomes the percentiles 0.5, 99.5.
        samples: see `annotated_sample`, of each case.

    Raises:
        DatasetError: no voxel is annotated.

    Source: nnU-Net v2 (intensities of the foreground of all training cases).
    """
    if how.rule != "fitted":
        return how
    values = np.concatenate([*samples, np.zeros(0, np.float32)]).astype(np.float64)
    if not values.size or values.std() == 0:
        raise DatasetError(
            "The intensities cannot be fitted: no voxel of the training's cases is annotated.",
            code="training.fit",
            hint="Give labeled cases, or another rule of normalization.",
        )
    low, high = (round(float(v), 4) for v in np.percentile(values, FITTED_PERCENTILES))
    mean, std = round(float(values.mean()), 4), round(float(values.std()), 4)
    return replace(how, rule="fixed", clip=how.clip or (low, high), mean=mean, std=std)


def annotated_sample(array: FloatArray, labels: NDArray[np.uint8]) -> FloatArray:
    """Up to about `SAMPLES_PER_CASE` evenly chosen values where `labels` are neither 0 nor 255."""
    values = array[(labels > 0) & (labels < 255)]
    return values[:: max(1, len(values) // SAMPLES_PER_CASE)]


def _line(values: NDArray[np.float64], how: Normalization) -> tuple[float, float]:
    """What is subtracted, then divided by."""
    if how.rule == "z-score":
        return float(values.mean()), float(values.std()) + EPSILON
    if how.rule == "unit":
        low, high = how.clip or (float(values.min()), float(values.max()))
        return low, max(high - low, EPSILON)
    if how.rule == "fixed":
        return how.mean, how.std
    raise UsageError(
        "This normalization has not been fitted to any cases.", code="usage.normalization"
    )
