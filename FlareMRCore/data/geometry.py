"""The grid of an image in patient space: the only place where an affine is composed or inverted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.errors import GeometryError

FloatArray = NDArray[np.float64]
Triple = tuple[float, float, float]
Shape = tuple[int, int, int]

AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Letters of the negative and positive direction of the RAS axes."""


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open voxel range; `start` and `stop` are (k, j, i) indices."""

    start: Shape
    stop: Shape

    @property
    def shape(self) -> Shape:
        """Number of voxels along (K, J, I); never negative."""
        k, j, i = (max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))
        return k, j, i

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index that cuts the box out of an array (K, J, I)."""
        k, j, i = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return k, j, i

    def padded(self, margin_vox: Shape, *, within: Shape) -> Box:
        """Box grown by `margin_vox` on both sides of each axis and cut to the array `within`."""
        low = [max(0, a - m) for a, m in zip(self.start, margin_vox, strict=True)]
        high = [min(n, b + m) for b, m, n in zip(self.stop, margin_vox, within, strict=True)]
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Grid of a volume: array axis n, `spacing_mm[n]` and `direction[n]` are the same axis.

    Attributes:
        shape: voxels along (K, J, I).
        spacing_mm: distance of neighboring voxel centers along (K, J, I).
        origin: RAS mm of the center of voxel (0, 0, 0).
        direction: three unit vectors in RAS, those of the array axes K, J, I.
    """

    shape: Shape
    spacing_mm: Triple
    origin: Triple = (0.0, 0.0, 0.0)
    direction: tuple[Triple, Triple, Triple] = (
        (0.0, 0.0, 1.0),
        (0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0),
    )

    def __post_init__(self) -> None:
        if any(n < 1 for n in self.shape):
            raise GeometryError(
                f"Each axis needs at least one voxel; the shape is {self.shape}.",
                code="geometry.empty",
            )
        spacing_ok = all(np.isfinite(s) and s > 0 for s in self.spacing_mm)
        if not spacing_ok or not np.isfinite(self.origin).all():
            raise GeometryError(
                f"Spacing must be positive and the origin finite; found spacing "
                f"{self.spacing_mm} and origin {self.origin}.",
                code="geometry.spacing",
            )
        if not np.isfinite(self.direction).all() or abs(np.linalg.det(self.direction)) < 1e-3:
            raise GeometryError(
                f"The three axes must span space; found directions {self.direction}.",
                code="geometry.direction",
            )

    @classmethod
    def from_affine(cls, affine: FloatArray, shape: Shape) -> Geometry:
        """Geometry of `affine`, a 4x4 matrix from (k, j, i, 1) to RAS mm."""
        columns = np.asarray(affine, dtype=np.float64)[:3, :3]
        spacing = np.linalg.norm(columns, axis=0)
        if not np.isfinite(spacing).all() or (spacing <= 0).any():
            raise GeometryError(
                f"An axis of the affine has length zero: {columns.tolist()}.",
                code="geometry.spacing",
            )
        units = (columns / spacing).T
        return cls(
            shape,
            _triple(spacing),
            _triple(np.asarray(affine)[:3, 3]),
            (_triple(units[0]), _triple(units[1]), _triple(units[2])),
        )

    @property
    def affine(self) -> FloatArray:
        """4x4 matrix from (k, j, i, 1) to RAS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction).T * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def inverse_affine(self) -> FloatArray:
        """4x4 matrix from RAS mm to (k, j, i, 1)."""
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimeters."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def extent_mm(self) -> Triple:
        """Length of the grid along (K, J, I), voxel edge to voxel edge."""
        return _triple(np.multiply(self.shape, self.spacing_mm))

    @property
    def axis_codes(self) -> str:
        """Nearest anatomical direction of the array axes (K, J, I), e.g. ``"SAR"``."""
        order, flips = nearest_axes(self.direction)
        return "".join(AXIS_LETTERS[a][0 if f else 1] for a, f in zip(order, flips, strict=True))

    @property
    def obliquity_deg(self) -> float:
        """Largest angle between an array axis and the RAS axis nearest to it."""
        order, _ = nearest_axes(self.direction)
        cosines = [abs(d[a]) for d, a in zip(self.direction, order, strict=True)]
        return float(np.degrees(np.arccos(np.clip(min(cosines), -1.0, 1.0))))

    def index_to_world(self, index: FloatArray) -> FloatArray:
        """RAS mm of voxel indices; both arrays are (..., 3), indices ordered (k, j, i)."""
        matrix = self.affine
        return np.asarray(index, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def world_to_index(self, world: FloatArray) -> FloatArray:
        """Continuous voxel indices (k, j, i) of RAS mm points; both arrays are (..., 3)."""
        matrix = self.inverse_affine
        return np.asarray(world, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def corners(self) -> FloatArray:
        """RAS mm of the eight outer corners (voxel edges) of the grid, shape (8, 3)."""
        edges = [(-0.5, n - 0.5) for n in self.shape]
        return self.index_to_world(np.array(list(itertools.product(*edges))))

    def cropped(self, box: Box) -> Geometry:
        """Grid of the part of the array inside `box` (which may reach outside: padding)."""
        return replace(
            self, shape=box.shape, origin=_triple(self.index_to_world(np.array(box.start)))
        )

    def resized(self, shape: Shape) -> Geometry:
        """Grid of `shape` that covers the same space edge to edge (torch's align_corners=False)."""
        scale = np.divide(self.shape, shape)
        first = 0.5 * scale - 0.5
        return replace(
            self,
            shape=shape,
            spacing_mm=_triple(np.multiply(self.spacing_mm, scale)),
            origin=_triple(self.index_to_world(first)),
        )

    def coincides(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """True if both grids have one shape and no voxel center lies further apart."""
        if self.shape != other.shape:
            return False
        gap = np.abs(self.corners() - other.corners()).max()
        return bool(gap <= tolerance_mm)


def nearest_axes(
    direction: tuple[Triple, Triple, Triple],
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """RAS axis (0 R, 1 A, 2 S) of each array axis, and whether the array axis runs against it.

    Of all six assignments the one with the largest sum of cosines is taken, so that no two array
    axes share a RAS axis, at 45 degrees either.
    """
    cosines = np.asarray(direction)
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(cosines[n, a]) for n, a in enumerate(order)),
    )
    flips = tuple(bool(cosines[n, a] < 0) for n, a in enumerate(best))
    return (best[0], best[1], best[2]), (flips[0], flips[1], flips[2])


def _triple(values: FloatArray | NDArray[np.floating]) -> Triple:
    a, b, c = (float(v) for v in np.asarray(values))
    return a, b, c
