"""Phantoms seen by a scanner that moved: the true transform is known."""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.phantom import phantom_geometry
from FlareMRCore.data.phantom_anatomy import make_anatomy
from FlareMRCore.data.phantom_render import RenderOptions, render
from FlareMRCore.data.volume import LabelMap, Volume

SPACING_MM = 5.0


def motion(shift_mm=(0.0, 0.0, 0.0), turn_deg=(0.0, 0.0, 0.0), scale=1.0) -> np.ndarray:
    """4x4 matrix, RAS mm: turns about the axes R, A, S, then scale and shift."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(turn_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(4)
        turn[[a, a, b, b], [a, b, a, b]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        matrix = turn @ matrix
    matrix[:3, :3] *= scale
    matrix[:3, 3] = shift_mm
    return matrix


def grid(spacing_mm: float = SPACING_MM) -> Geometry:
    """Whole abdomen with some air around it."""
    return phantom_geometry(spacing_mm, extent_mm=(240.0, 260.0, 380.0))


@functools.cache
def phantom(sequence: str, *, key: bytes = b"", seed: int = 3) -> tuple[Volume, LabelMap]:
    """Image and labels whose content lies at inverse(matrix) of where it lies in the first."""
    matrix = np.frombuffer(key).reshape(4, 4) if key else np.eye(4)
    geometry = grid()
    moved = Geometry.from_affine(matrix @ geometry.affine, geometry.shape)
    anatomy = make_anatomy(seed, moved)
    image = render(anatomy, sequence, seed=seed, options=RenderOptions(noise=0.02))
    labels = LabelMap(anatomy.labels.array, geometry, anatomy.labels.labels)
    return Volume(image.array, geometry), labels


def moved(sequence: str, matrix: np.ndarray) -> tuple[Volume, LabelMap]:
    """Image and labels that the transform inverse(`matrix`) takes onto `phantom(...)`."""
    return phantom(sequence, key=np.ascontiguousarray(matrix).tobytes())


def bent(sequence: str, amplitude_mm: float = 9.0) -> tuple[Volume, LabelMap]:
    """The phantom pulled about by smooth waves of `amplitude_mm`."""
    volume, labels = phantom(sequence)
    index = np.mgrid[tuple(slice(0, n) for n in volume.geometry.shape)].astype(np.float64)
    phase = index * SPACING_MM / 130.0 * 2 * np.pi / 2
    shift = np.stack(
        [np.sin(phase[1]) * np.cos(phase[2]), np.sin(phase[2] + 1), np.cos(phase[0] + phase[1])]
    )
    where = index + shift * amplitude_mm / SPACING_MM
    image = ndimage.map_coordinates(volume.array, where, order=1, mode="nearest")
    values = ndimage.map_coordinates(labels.array, where, order=0, mode="nearest")
    return Volume(image, volume.geometry), LabelMap(values, labels.geometry, labels.labels)


def dice(first: LabelMap, second: LabelMap, organ: str) -> float:
    """Dice of one organ."""
    value = first.labels.by_id(organ).value
    a, b = first.array == value, second.array == value
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
