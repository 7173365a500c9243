"""Spatial transforms between two images: apply them to images, labels and points, keep them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_atomically
from FlareMRCore.data.geometry import FloatArray, Geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import InputError

sitk: Any = SimpleITK  # only some of its functions are annotated
TRANSFORM_FORMAT = 1
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK counts to the left and to posterior where this package counts to the right and anterior."""


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementField:
    """Displacements `vectors_mm` (K, J, I, 3), RAS mm, float32, at the voxel centers of a grid."""

    geometry: Geometry
    vectors_mm: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpatialTransform:
    """Where each point of the fixed image lies in the moving image: y = matrix (x + u(x)).

    Attributes:
        kind: what was asked for: ``"translation"``, ``"rigid"``, ``"affine"`` or ``"syn"``.
        method: what found it, for people.
        matrix: 4x4, RAS mm.
        field: u, zero outside of its grid; None for a linear transform.
    """

    kind: str
    method: str
    matrix: FloatArray
    field: DisplacementField | None = None


def identity_transform() -> SpatialTransform:
    """The transform that leaves every point where it is."""
    return SpatialTransform("translation", "identity", np.eye(4))


def warp_volume(
    transform: SpatialTransform, moving: Volume, onto: Geometry, *, fill: float = 0.0
) -> Volume:
    """`moving` on the grid `onto` of the fixed image, trilinear; `fill` where it does not reach."""
    image = _warped(transform, sitk_image(moving.array, moving.geometry), onto, fill=fill)
    return Volume(image.astype(np.float32, copy=False), onto)


def warp_labels(transform: SpatialTransform, moving: LabelMap, onto: Geometry) -> LabelMap:
    """`moving` on the grid `onto` of the fixed image, nearest neighbor; 0 outside."""
    source = sitk_image(moving.array, moving.geometry)
    array = _warped(transform, source, onto, interpolator=sitk.sitkNearestNeighbor)
    return LabelMap(array.astype(np.uint8, copy=False), onto, moving.labels)


def reach(transform: SpatialTransform, moving: Geometry, onto: Geometry) -> NDArray[np.bool_]:
    """Which voxels (K, J, I) of `onto` the moving image covers."""
    ones = sitk_image(np.ones(moving.shape, dtype=np.uint8), moving)
    covered: NDArray[np.bool_] = (
        _warped(transform, ones, onto, interpolator=sitk.sitkNearestNeighbor) > 0
    )
    return covered


def map_points(transform: SpatialTransform, points: FloatArray) -> FloatArray:
    """Points (n, 3) of the moving image, RAS mm, that belong to `points` of the fixed one."""
    itk = itk_transform(transform)
    flipped = np.asarray(points, dtype=np.float64) * (-1, -1, 1)
    mapped = [itk.TransformPoint(point.tolist()) for point in flipped]
    return np.asarray(mapped, dtype=np.float64).reshape(-1, 3) * (-1, -1, 1)


def rotation_deg(transform: SpatialTransform) -> float:
    """Angle of the rotation in the linear part, 0 to 180; scaling and shear left out."""
    u, _, v = np.linalg.svd(transform.matrix[:3, :3])
    cosine = (np.trace(u @ v) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def save_transform(path: Path | str, transform: SpatialTransform) -> None:
    """Write `transform` as a NumPy archive (.npz), atomically; equal ones give equal bytes.

    Raises:
        UsageError: the file cannot be written.
    """
    header = {"format": TRANSFORM_FORMAT, "kind": transform.kind, "method": transform.method}
    arrays = {"header": np.array(json.dumps(header)), "matrix": transform.matrix}
    if transform.field is not None:
        arrays["grid"] = transform.field.geometry.affine
        arrays["vectors_mm"] = transform.field.vectors_mm

    def write(stream: BinaryIO) -> None:
        np.savez(stream, allow_pickle=False, **arrays)

    write_atomically(Path(path), write)


def load_transform(path: Path | str) -> SpatialTransform:
    """The transform that `save_transform` wrote.

    Raises:
        InputError: no such file, or not a transform.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
        header = json.loads(str(content["header"]))
        known = header["format"] == TRANSFORM_FORMAT and content["matrix"].shape == (4, 4)
        kind, method = str(header["kind"]), str(header["method"])
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise _no_transform(path, str(error)) from error
    if not known:
        raise _no_transform(path, "another format")
    field = None
    if "grid" in content:
        vectors = content["vectors_mm"]
        field = DisplacementField(Geometry.from_affine(content["grid"], vectors.shape[:3]), vectors)
    return SpatialTransform(kind, method, content["matrix"], field)


def sitk_image(array: NDArray[Any], geometry: Geometry, *, vectors: bool = False) -> Any:
    """`array` on its grid as an ITK image in ITK's coordinates; `vectors`: last axis is RAS mm."""
    values = np.array(array, order="C")
    if vectors:
        values = values.astype(np.float64) * (-1, -1, 1)
    image = sitk.GetImageFromArray(values, isVector=vectors)
    affine = LPS_FROM_RAS @ geometry.affine
    image.SetSpacing([float(s) for s in reversed(geometry.spacing_mm)])
    image.SetOrigin(affine[:3, 3].tolist())
    axes = affine[:3, :3] / np.asarray(geometry.spacing_mm)
    image.SetDirection(axes[:, ::-1].ravel().tolist())
    return image


def itk_transform(transform: SpatialTransform) -> Any:
    """`transform` as ITK applies it when it resamples."""
    linear = itk_affine(transform.matrix)
    if transform.field is None:
        return linear
    vectors = sitk_image(transform.field.vectors_mm, transform.field.geometry, vectors=True)
    # ITK applies the last one first.
    return sitk.CompositeTransform([linear, sitk.DisplacementFieldTransform(vectors)])


def itk_affine(matrix: FloatArray) -> Any:
    """A matrix in RAS mm as ITK's affine transform."""
    lps = LPS_FROM_RAS @ matrix @ LPS_FROM_RAS
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(lps[:3, :3].ravel().tolist())
    affine.SetTranslation(lps[:3, 3].tolist())
    return affine


def matrix_of_itk(transform: Any) -> FloatArray:
    """The matrix in RAS mm of any linear ITK transform."""
    corners = np.vstack([np.zeros(3), np.eye(3)])
    mapped = np.array([transform.TransformPoint(corner.tolist()) for corner in corners])
    lps = np.eye(4)
    lps[:3, :3] = (mapped[1:] - mapped[0]).T
    lps[:3, 3] = mapped[0]
    return np.asarray(LPS_FROM_RAS @ lps @ LPS_FROM_RAS, dtype=np.float64)


def _warped(
    transform: SpatialTransform,
    source: Any,
    onto: Geometry,
    *,
    interpolator: int = sitk.sitkLinear,
    fill: float = 0.0,
) -> NDArray[Any]:
    grid = sitk_image(np.zeros(onto.shape, dtype=np.uint8), onto)
    result = sitk.Resample(source, grid, itk_transform(transform), interpolator, float(fill))
    values: NDArray[Any] = sitk.GetArrayFromImage(result)
    return values


def _no_transform(path: Path | str, reason: str) -> InputError:
    return InputError(
        f"'{path}' is not a transform written by FlareMR ({reason}).",
        code="input.transform",
        hint="Run the registration again.",
    )
