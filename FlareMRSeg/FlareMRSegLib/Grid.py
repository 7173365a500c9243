"""Arithmetic on voxel grids with plain arrays: axis names, boxes, parts of a grid."""

from collections.abc import Sequence

import numpy as np

ORTHOGONAL_COSINE = 1e-3
"""Largest cosine between two axes of a grid that counts as rectangular."""

Index = tuple[int, int, int]


def axisNames(matrix: np.ndarray) -> tuple[str, ...]:
    """Patient direction to which each of the axes i, j, k points most: L, R, P, A, I or S."""
    names: list[str] = []
    free = [0, 1, 2]
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    for axis in range(3):
        # Each patient axis once, as the strongest of those left.
        world = max(free, key=lambda row: abs(directions[row, axis]))
        free.remove(world)
        names.append(("LR", "PA", "IS")[world][int(directions[world, axis] > 0)])
    return tuple(names)


def isOrthogonal(matrix: np.ndarray) -> bool:
    """Whether the axes of a grid are at right angles."""
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    cosines = directions.T @ directions - np.eye(3)
    return bool(np.abs(cosines).max() < ORTHOGONAL_COSINE)


def croppedMatrix(matrix: np.ndarray, start: Index) -> np.ndarray:
    """IJK to RAS matrix of the part of a grid that begins at voxel `start` (K, J, I)."""
    cropped = np.array(matrix, dtype=np.float64)
    if any(start):
        cropped[:3, 3] = matrix[:3, :3] @ start[::-1] + matrix[:3, 3]
    return cropped


def voxelBox(corners: np.ndarray, shape: Sequence[int]) -> tuple[Index, Index] | None:
    """Voxels whose centers lie in the box around `corners` (n, 3) in (i, j, k).

    Returns:
        First voxel and one past the last, both (K, J, I); None if there are none, or only one
        along an axis, which would be no 3-D image.
    """
    low, high = corners.min(axis=0)[::-1], corners.max(axis=0)[::-1]
    # A box drawn on the edges of voxels must not lose some of them to rounding.
    start = np.maximum(np.ceil(low - 1e-6).astype(int), 0)
    stop = np.minimum(np.floor(high + 1e-6).astype(int) + 1, np.array(shape))
    if np.any(stop - start < 2):
        return None
    return tuple(int(n) for n in start), tuple(int(n) for n in stop)
