"""Signs that an image or a result deserves a second look."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.labels import Label, LabelTable
from FlareMRCore.errors import InputError

CT_AIR_HU = -900.0
CT_LUNG_TOP_HU = -850.0
CT_SOFT_HU = (-200.0, 250.0)
"""Fat, organs and enhanced vessels, in Hounsfield units."""
CT_MIN_SOFT_SHARE = 0.6
SAMPLE_SIZE = 500_000
MIN_ORGANS = 4
"""Fewer organs than this, and the image hardly shows an abdomen."""
MIN_ORGAN_ML = 1.0
FRAGMENT_SHARE = 0.1
"""An organ is fragmented if more than this share lies outside its largest piece."""


def looks_like_ct(array: NDArray[np.float32]) -> bool:
    """True if the values are Hounsfield units: air near -1000, and most of the body near 0."""
    if float(array.min()) > CT_AIR_HU:
        return False
    step = max(1, math.ceil(array.size / SAMPLE_SIZE))
    sample = array.ravel()[::step]
    body = sample[sample > CT_LUNG_TOP_HU]
    low, high = CT_SOFT_HU
    soft = (body >= low) & (body <= high)
    return bool(body.size) and float(soft.mean()) >= CT_MIN_SOFT_SHARE


def ct_error() -> InputError:
    """The error for a CT where an MR is expected."""
    return InputError(
        "The intensities are those of a CT (Hounsfield units), but FlareMR segments MR images.",
        code="input.looks-like-ct",
        hint="Use a CT tool such as TotalSegmentator, or allow CT explicitly to try anyway.",
    )


def field_of_view_warning(volumes_ml: Mapping[int, float], labels: LabelTable) -> str:
    """A warning if too few organs were found; empty if there are enough.

    Args:
        volumes_ml: volume of every organ the network knows, wanted or not, by label value.
        labels: names of the organs.
    """
    found = [label for label in labels if volumes_ml.get(label.value, 0.0) >= MIN_ORGAN_ML]
    if len(found) >= MIN_ORGANS:
        return ""
    names = ", ".join(label.name for label in found) or "none"
    return (
        f"Only {len(found)} of {len(labels)} organs were found ({names}). "
        "The image may not show the abdomen; do not trust what was found."
    )


def organ_flags(
    label: Label, volume_ml: float, *, at_border: bool, fragment_share: float
) -> tuple[str, ...]:
    """What is odd about one organ of a result.

    An organ that is cut off by the end of the image is not called too small.
    """
    if volume_ml == 0:
        return ("missing",)
    low, high = label.plausible_ml
    implausible = volume_ml > high or (volume_ml < low and not at_border)
    flags = (
        ("touches-border", at_border),
        ("fragmented", fragment_share > FRAGMENT_SHARE),
        ("implausible-volume", implausible),
    )
    return tuple(name for name, raised in flags if raised)


def values_at_border(labels: NDArray[np.uint8]) -> set[int]:
    """Label values that occur in an outermost slice of the array, 0 excluded."""
    found: set[int] = set()
    for axis in range(3):
        # A single slice is all border; then the other axes tell more.
        if labels.shape[axis] == 1 and labels.size > 1:
            continue
        for end in (0, -1):
            found.update(int(value) for value in np.unique(np.take(labels, end, axis=axis)))
    return found - {0}
