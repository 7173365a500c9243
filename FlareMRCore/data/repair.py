"""Direction cosines that are not quite orthonormal: measured, repaired, reported."""

from __future__ import annotations

import numpy as np

from FlareMRCore.data.geometry import FloatArray, Geometry, Shape

ROUNDING = 1e-4
"""Cosine between axes that counts as rounding of the header; 0.05 mm at 50 cm."""

REPAIRABLE = 0.05
"""Cosine between axes up to which a right angle was meant (2.9 degrees); more is real shear."""


def skewness(geometry: Geometry) -> float:
    """Largest absolute cosine between two array axes; 0 for a rectangular grid."""
    direction = np.asarray(geometry.direction)
    cosines = np.abs(direction @ direction.T)
    return float(cosines[~np.eye(3, dtype=bool)].max())


def orthonormalized(geometry: Geometry) -> Geometry:
    """Nearest grid with right angles: same shape, spacing, handedness and center.

    The directions are the orthogonal factor of the polar decomposition, which of all
    orthonormal frames is the nearest in the least-squares sense.

    Source: N. J. Higham, Computing the polar decomposition, SIAM J. Sci. Stat. Comput. 7, 1986.
    """
    left, _, right = np.linalg.svd(np.asarray(geometry.direction))
    affine = np.eye(4)
    affine[:3, :3] = (left @ right).T * np.asarray(geometry.spacing_mm)
    center = (np.asarray(geometry.shape) - 1) / 2
    affine[:3, 3] = geometry.index_to_world(center) - affine[:3, :3] @ center
    return Geometry.from_affine(affine, geometry.shape)


def usable_geometry(affine: FloatArray, shape: Shape) -> tuple[Geometry, tuple[str, ...]]:
    """Geometry to compute with, and what had to be changed or should be known.

    Angles off by rounding are taken as they are, slightly wrong ones are made right, and real
    shear is kept, since the label map returns to the same grid anyway.

    Args:
        affine: 4x4 matrix from (k, j, i, 1) to RAS mm.
        shape: voxels along (K, J, I).

    Raises:
        GeometryError: an axis of length zero, values that are not finite, or axes in one plane.
    """
    geometry = Geometry.from_affine(affine, shape)
    skew = skewness(geometry)
    if skew <= ROUNDING:
        return geometry, ()
    angle_deg = float(np.degrees(np.arcsin(min(skew, 1.0))))
    if skew > REPAIRABLE:
        return geometry, (
            f"The axes of the image are sheared by {angle_deg:.1f} degrees (gantry tilt?); "
            "the grid is used as it is.",
        )
    repaired = orthonormalized(geometry)
    moved_mm = float(np.linalg.norm(repaired.corners() - geometry.corners(), axis=1).max())
    return repaired, (
        f"The axes of the image miss a right angle by {angle_deg:.2f} degrees; computed on the "
        f"nearest rectangular grid, which differs by at most {moved_mm:.2f} mm.",
    )
