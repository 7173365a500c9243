"""Voxels with their grid: `Volume` for intensities, `LabelMap` for labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.data.labels import LabelTable
from FlareMRCore.errors import GeometryError


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Intensities (K, J, I) as float32 on a grid; the array is a read-only view.

    The constructor takes ownership of the array: it converts only if the type differs.
    """

    array: NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "array", _read_only(self.array, np.dtype(np.float32), self.geometry)
        )

    def cropped(self, box: Box) -> Volume:
        """The part inside `box`, which must lie inside the array."""
        return Volume(self.array[box.slices], self.geometry.cropped(box))


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Label values (K, J, I) as uint8 on a grid, with the table that names them."""

    array: NDArray[np.uint8]
    geometry: Geometry
    labels: LabelTable

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", _read_only(self.array, np.dtype(np.uint8), self.geometry))

    def cropped(self, box: Box) -> LabelMap:
        """The part inside `box`, which must lie inside the array."""
        return LabelMap(self.array[box.slices], self.geometry.cropped(box), self.labels)


def _read_only(
    array: NDArray[np.generic], dtype: np.dtype[np.generic], geometry: Geometry
) -> NDArray[np.generic]:
    if array.shape != geometry.shape:
        raise GeometryError(
            f"The array has shape {array.shape}, its grid {geometry.shape}.", code="geometry.shape"
        )
    view = array.astype(dtype, copy=False).view()
    view.setflags(write=False)
    return view
