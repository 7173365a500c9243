"""An opened image file: its grid as stored and as used, its frames, and how to load one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.geometry import FloatArray, Geometry, Shape
from FlareMRCore.data.repair import usable_geometry
from FlareMRCore.errors import GeometryError

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS to LPS and back; the signs of zeros and all bits of other numbers survive."""


@dataclass(frozen=True, slots=True)
class LpsGrid:
    """Grid in ITK's terms: LPS mm, axes (i, j, k), `direction` row by row (9 numbers)."""

    origin: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    direction: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FileGrid:
    """Grid of a file, kept so that an output can repeat it to the last bit.

    Attributes:
        geometry: what to compute with; differs from `affine` if axes had to be repaired.
        affine: 4x4 matrix from (k, j, i, 1) to RAS mm as stored in the file.
        nifti: the header bytes if the file is NIfTI.
        lps: the numbers as ITK keeps them if ITK read the file.
    """

    geometry: Geometry
    affine: FloatArray
    nifti: bytes | None = None
    lps: LpsGrid | None = None

    @classmethod
    def of(cls, geometry: Geometry) -> FileGrid:
        """Grid of a label map or volume that comes from no file."""
        return cls(geometry, geometry.affine)


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """A readable 3-D or 4-D scalar image whose pixels are not loaded yet.

    Attributes:
        path: file, or folder of a DICOM series.
        grid: grid shared by all frames.
        frames: number of volumes in the file, 1 for a 3-D image.
        warnings: what was repaired or decided, sentences for people.
        load: reads the pixels of one frame, float32 (K, J, I).
    """

    path: Path
    grid: FileGrid
    frames: int
    warnings: tuple[str, ...]
    load: Callable[[int], NDArray[np.float32]]


def geometry_of_file(
    path: Path, affine: FloatArray, shape: Shape
) -> tuple[Geometry, tuple[str, ...]]:
    """`usable_geometry` whose error names the file.

    Raises:
        GeometryError: the grid stored in the file is degenerate.
    """
    try:
        return usable_geometry(affine, shape)
    except GeometryError as error:
        raise GeometryError(
            f"'{path}' has an unusable grid. {error}",
            code=error.code,
            hint="Export the image again, or correct spacing and orientation in its header.",
        ) from error


def lps_grid(grid: FileGrid) -> LpsGrid:
    """The grid in ITK's terms; the numbers of the file where ITK read it."""
    if grid.lps is not None:
        return grid.lps
    matrix = (LPS @ grid.affine)[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    direction = matrix[:3, :3] / spacing
    return LpsGrid(
        tuple(matrix[:3, 3].tolist()),
        tuple(spacing.tolist()),
        tuple(direction.ravel().tolist()),
    )


def affine_of_lps(grid: LpsGrid) -> FloatArray:
    """4x4 matrix from (k, j, i, 1) to RAS mm of a grid in ITK's terms."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(grid.direction, (3, 3)) * np.asarray(grid.spacing_mm)
    matrix[:3, 3] = grid.origin
    return (LPS @ matrix)[:, [2, 1, 0, 3]]
