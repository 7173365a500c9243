"""One call that makes a phantom image with its true label map."""

from __future__ import annotations

import itertools

import numpy as np

from FlareMRCore.data.geometry import AXIS_LETTERS, Geometry, Triple
from FlareMRCore.data.phantom_anatomy import make_anatomy
from FlareMRCore.data.phantom_render import RenderOptions, render
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError

DEFAULT_EXTENT_MM: Triple = (240.0, 228.0, 324.0)
DEFAULT_CENTER: Triple = (0.0, 2.0, 38.0)


def phantom_geometry(
    spacing_mm: float | Triple = 3.0,
    *,
    extent_mm: Triple = DEFAULT_EXTENT_MM,
    center: Triple = DEFAULT_CENTER,
    axis_codes: str = "SAR",
    tilt_deg: Triple = (0.0, 0.0, 0.0),
) -> Geometry:
    """Grid for a phantom.

    Args:
        spacing_mm: voxel size, one number or one for each of the directions superior, anterior
            and right.
        extent_mm: field of view in the same order; rounded to whole voxels.
        center: RAS mm of the middle of the field of view; the default sees all 13 organs.
        axis_codes: anatomical direction of the array axes (K, J, I), e.g. ``"LPS"``; the voxels
            stay where they are, only their order changes.
        tilt_deg: rotation of the grid about the right, anterior and superior axis (oblique).

    Raises:
        UsageError: `axis_codes` are not three letters that span space.
    """
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    counts = np.maximum(1, np.rint(np.asarray(extent_mm) / spacing)).astype(int)
    axes = np.eye(3)[::-1] @ _rotation(tilt_deg).T
    first = np.asarray(center) - axes.T @ ((counts - 1) / 2 * spacing)
    affine = np.eye(4)
    affine[:3, :3] = axes.T * spacing
    affine[:3, 3] = first
    order, flips = _parse_codes(axis_codes)
    steps = np.zeros((4, 4))
    steps[3, 3] = 1.0
    for axis, (old, flip) in enumerate(zip(order, flips, strict=True)):
        steps[old, axis] = -1.0 if flip else 1.0
        steps[old, 3] = counts[old] - 1 if flip else 0.0
    k, j, i = (int(counts[n]) for n in order)
    return Geometry.from_affine(affine @ steps, (k, j, i))


def make_phantom(
    seed: int,
    sequence: str = "venous",
    *,
    geometry: Geometry | None = None,
    tumors: bool = False,
    render_seed: int | None = None,
    options: RenderOptions | None = None,
) -> tuple[Volume, LabelMap]:
    """Image and label map of person `seed`, as a scanner with `sequence` would see it.

    A person's anatomy is the same in every sequence and on every grid; `render_seed`, by default
    `seed`, chooses noise, bias field and tissue variation. `geometry` is by default
    `phantom_geometry()` (3 mm). With ``options.slice_samples`` above 1 each voxel is the mean of
    that many thinner slices along array axis K, as in thick-slice imaging; labels are those of
    the voxel centers.

    Raises:
        UsageError: unknown sequence; the message lists those there are.
    """
    grid = geometry or phantom_geometry()
    chosen = options or RenderOptions()
    look = seed if render_seed is None else render_seed
    anatomy = make_anatomy(seed, grid, tumors=tumors)
    if chosen.slice_samples <= 1:
        return render(anatomy, sequence, seed=look, options=chosen), anatomy.labels
    k, j, i = grid.shape
    thin = make_anatomy(seed, grid.resized((k * chosen.slice_samples, j, i)), tumors=tumors)
    image = render(thin, sequence, seed=look, options=chosen)
    return Volume(image.array, grid), anatomy.labels


def _parse_codes(axis_codes: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axis of the superior-anterior-right grid for each new axis, and whether it is flipped."""
    found: list[tuple[int, bool]] = []
    for letter, (axis, (low, high)) in itertools.product(axis_codes, enumerate(AXIS_LETTERS)):
        if letter in (low, high):
            found.append((2 - axis, letter == low))
    if len(axis_codes) != 3 or {axis for axis, _ in found} != {0, 1, 2}:
        raise UsageError(
            f"Axis codes are three letters like SAR, LPS or RAI; found '{axis_codes}'.",
            code="usage.axis-codes",
        )
    (a, fa), (b, fb), (c, fc) = found
    return (a, b, c), (fa, fb, fc)


def _rotation(tilt_deg: Triple) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """3x3 rotation about the right, then the anterior, then the superior axis."""
    result = np.eye(3)
    for axis, angle in enumerate(np.radians(tilt_deg)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result
