"""Smooth implicit shapes in millimeters, and the grid they are painted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from FlareMRCore.data.geometry import FloatArray, Geometry, Triple

Field = NDArray[np.float32]
Slices = tuple[slice, slice, slice]

SEGMENT_MM = 12.0
"""Longest straight piece of a tube's center line."""

FAR_MM = np.float32(1e3)


@dataclass(frozen=True, slots=True)
class Blob:
    """A rotated super-ellipsoid; `power` 2 is an ellipsoid, 2.5 is boxier.

    `rotation_deg` turns about the x, y and z axes of RAS, in that order. A radius may be infinite
    if nothing is rotated.
    """

    center: Triple
    radii_mm: Triple
    rotation_deg: Triple = (0.0, 0.0, 0.0)
    power: float = 2.0

    @property
    def matrix(self) -> FloatArray:
        """3x3 rotation from the blob's own axes to RAS."""
        return np.asarray(Rotation.from_euler("xyz", self.rotation_deg, degrees=True).as_matrix())


@dataclass(frozen=True, slots=True)
class Tube:
    """A smooth curve through `points`, shape (n, 3) in RAS mm, with a radius at each point."""

    points: tuple[Triple, ...]
    radii_mm: tuple[float, ...]

    def sampled(self) -> tuple[FloatArray, FloatArray]:
        """Points (m, 3) and radii (m,) on the curve, at most about `SEGMENT_MM` apart."""
        points = np.asarray(self.points, dtype=np.float64)
        chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
        knots = np.concatenate([[0.0], np.cumsum(chords)])
        at = np.linspace(0.0, knots[-1], max(2, int(np.ceil(knots[-1] / SEGMENT_MM)) + 1))
        return _curve(knots, points, at), np.interp(at, knots, self.radii_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Map from world to anatomy: rotation and scale, plus a smooth elastic displacement.

    Attributes:
        matrix: 3x3, applied to RAS mm.
        waves: wave vectors (3 components, n, 3) in radians per mm.
        phases: radians (3, n).
        amplitudes_mm: (3, n).
    """

    matrix: FloatArray
    waves: FloatArray
    phases: FloatArray
    amplitudes_mm: FloatArray

    @property
    def reach_mm(self) -> float:
        """Largest possible elastic displacement along one axis."""
        return float(self.amplitudes_mm.sum(axis=1).max())

    def to_anatomy(self, geometry: Geometry) -> Field:
        """Anatomy coordinates of all voxel centers, shape (3, K, J, I)."""
        result = np.empty((3, *geometry.shape), dtype=np.float32)
        for axis in range(3):
            result[axis] = linear_field(geometry, self.matrix[axis], 0.0)
            for wave, phase, amplitude in zip(
                self.waves[axis], self.phases[axis], self.amplitudes_mm[axis], strict=True
            ):
                result[axis] += wave_field(geometry, wave, phase) * np.float32(amplitude)
        return result


class Canvas:
    """Anatomy coordinates of a grid and the tissue codes painted on it so far.

    Attributes:
        points: anatomy coordinates (3, K, J, I) in mm, axes right, anterior, superior.
        tissues: codes (K, J, I).
    """

    def __init__(self, geometry: Geometry, frame: Frame) -> None:
        self.geometry = geometry
        self.frame = frame
        self.points = frame.to_anatomy(geometry)
        self.tissues: NDArray[np.uint8] = np.zeros(geometry.shape, dtype=np.uint8)
        inverse = geometry.inverse_affine
        self._to_index = inverse[:3, :3] @ np.linalg.inv(frame.matrix)
        self._index_origin = inverse[:3, 3]

    def region(self, low: FloatArray, high: FloatArray) -> Slices:
        """Slices of the grid that contain the anatomy box from `low` to `high` (mm)."""
        center = self._to_index @ ((low + high) / 2) + self._index_origin
        half = np.abs(self._to_index) @ ((high - low) / 2 + self.frame.reach_mm + 1.0)
        first = np.floor(center - half).astype(int)
        last = np.ceil(center + half).astype(int) + 1
        k, j, i = (
            slice(min(max(int(a), 0), n), min(max(int(b), 0), n))
            for a, b, n in zip(first, last, self.geometry.shape, strict=True)
        )
        return k, j, i

    def at(self, region: Slices) -> Field:
        """Anatomy coordinates (3, k, j, i) of a region."""
        return self.points[(slice(None), *region)]

    def paint(self, region: Slices, mask: NDArray[np.bool_], code: int) -> None:
        """Give the voxels of `mask`, an array of the region's shape, the tissue `code`."""
        self.tissues[region][mask] = code

    def blob(self, blob: Blob) -> tuple[Slices, Field]:
        """Region of a blob and its field there."""
        grown = 1.0 if blob.power == 2 else 1.2
        half = grown * np.sqrt((blob.matrix**2) @ np.square(blob.radii_mm))
        region = self.region(np.asarray(blob.center) - half, np.asarray(blob.center) + half)
        return region, blob_field(self.at(region), blob)

    def tube(self, tube: Tube) -> tuple[Slices, Field]:
        """Region of a tube and the distance to its wall there, right inside and near it."""
        points, radii = tube.sampled()
        reach = radii[:, None]
        region = self.region((points - reach).min(axis=0), (points + reach).max(axis=0))
        field = np.full(self.tissues[region].shape, FAR_MM, dtype=np.float32)
        for n in range(len(points) - 1):
            ends, pair = points[n : n + 2], reach[n : n + 2]
            part = self.region((ends - pair).min(axis=0), (ends + pair).max(axis=0))
            distance = _cone(self.at(part), ends, radii[n : n + 2])
            local = tuple(
                slice(p.start - r.start, p.stop - r.start)
                for p, r in zip(part, region, strict=True)
            )
            field[local] = np.minimum(field[local], distance)
        return region, field


def blob_field(points: Field, blob: Blob) -> Field:
    """About the signed distance in mm to the surface of `blob`, negative inside.

    Exact is only the sign; `points` is (3, k, j, i).
    """
    return (blob_radius(points, blob) - np.float32(1.0)) * np.float32(min(blob.radii_mm))


def blob_radius(points: Field, blob: Blob) -> Field:
    """Relative radius: 0 at the center of `blob`, 1 on its surface."""
    own = local_axes(points, blob)
    total = np.zeros(points.shape[1:], dtype=np.float32)
    for axis, radius in enumerate(blob.radii_mm):
        if np.isfinite(radius):
            total += _raised(own[axis] / np.float32(radius), blob.power)
    root: Field = np.sqrt(total) if blob.power == 2 else total ** np.float32(1 / blob.power)
    return root


def local_axes(points: Field, blob: Blob) -> Field:
    """Coordinates in the blob's own axes, mm from its center, shape (3, k, j, i)."""
    shifted = points - np.asarray(blob.center, dtype=np.float32)[:, None, None, None]
    if not any(blob.rotation_deg):
        return shifted
    turned: Field = np.tensordot(blob.matrix.T.astype(np.float32), shifted, axes=1)
    return turned


def smooth_union(first: Field, second: Field, width_mm: float) -> Field:
    """Union of two fields whose seam is rounded over about `width_mm`."""
    width = np.float32(width_mm)
    overlap = np.maximum(width - np.abs(first - second), 0)
    union: Field = np.minimum(first, second) - overlap * overlap / (4 * width)
    return union


def linear_field(geometry: Geometry, weights: FloatArray, offset: float) -> Field:
    """``weights . world + offset`` for all voxel centers of `geometry`, shape (K, J, I)."""
    steps = np.asarray(weights, dtype=np.float64) @ geometry.affine[:3]
    k, j, i = (np.arange(n) * step for n, step in zip(geometry.shape, steps[:3], strict=True))
    start = steps[3] + offset
    total: Field = (k[:, None, None] + j[None, :, None]).astype(np.float32) + (i + start).astype(
        np.float32
    )
    return total


def wave_field(geometry: Geometry, wave: FloatArray, phase: float) -> Field:
    """``sin(wave . world + phase)`` for all voxel centers of `geometry`, shape (K, J, I).

    Uses the sine of a sum, because the argument is a sum over the array axes.
    """
    steps = np.asarray(wave, dtype=np.float64) @ geometry.affine[:3]
    k, j, i = (np.arange(n) * step for n, step in zip(geometry.shape, steps[:3], strict=True))
    first = k[:, None, None] + j[None, :, None] + (steps[3] + phase)
    field: Field = np.sin(first).astype(np.float32) * np.cos(i).astype(np.float32)
    field += np.cos(first).astype(np.float32) * np.sin(i).astype(np.float32)
    return field


def _raised(values: Field, power: float) -> Field:
    """``abs(values) ** power``; the powers in use need no logarithm."""
    square: Field = values * values
    if power == 2:
        return square
    if power == 2.5:
        return square * np.sqrt(np.abs(values))
    raised: Field = np.abs(values) ** np.float32(power)
    return raised


def _cone(points: Field, ends: FloatArray, radii: FloatArray) -> Field:
    """Distance to a straight piece of tube whose radius changes linearly."""
    start, along = ends[0].astype(np.float32), (ends[1] - ends[0]).astype(np.float32)
    x, y, z = (points[n] - start[n] for n in range(3))
    t = (x * along[0] + y * along[1] + z * along[2]) / np.float32(max(float(along @ along), 1e-6))
    np.clip(t, 0.0, 1.0, out=t)
    x, y, z = x - t * along[0], y - t * along[1], z - t * along[2]
    distance: Field = np.sqrt(x * x + y * y + z * z)
    distance -= np.float32(radii[0]) + t * np.float32(radii[1] - radii[0])
    return distance


def _curve(knots: FloatArray, points: FloatArray, at: FloatArray) -> FloatArray:
    """Cubic Hermite curve through `points` whose slopes are central differences."""
    slopes = np.gradient(points, knots, axis=0)
    n = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    width = (knots[n + 1] - knots[n])[:, None]
    t = (at - knots[n])[:, None] / width
    start, stop = points[n], points[n + 1]
    rise = start + (3 - 2 * t) * t * t * (stop - start)
    bend = t * (1 - t) * ((1 - t) * slopes[n] - t * slopes[n + 1]) * width
    return np.asarray(rise + bend)
