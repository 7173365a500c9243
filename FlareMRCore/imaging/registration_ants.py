"""Registration with ANTs (package antspyx), imported only when it is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.registration_transform import (
    LPS_FROM_RAS,
    DisplacementField,
    SpatialTransform,
    matrix_of_itk,
)

sitk: Any = SimpleITK  # only some of its functions are annotated
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
NAMES = {"translation": "Translation", "rigid": "Rigid", "affine": "Affine", "syn": "SyN"}


def align_with_ants(
    fixed: Volume, moving: Volume, *, kind: str, metric: str, seed: int
) -> SpatialTransform:
    """Transform from `fixed` to `moving` by ANTs.

    ANTs sums in one thread if it is the first to start ITK's threads in this process; only then
    are its results the same to the last bit.

    Raises:
        InputError: ANTs gave up.
    """
    with _one_thread():
        import ants

        try:
            result = ants.registration(
                _ants_image(ants, fixed), _ants_image(ants, moving),
                type_of_transform=NAMES[kind], aff_metric=metric,
                syn_metric=metric, random_seed=seed,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"ANTs could not align the images ({str(error).strip().splitlines()[-1]}).",
                code="registration.failed",
                hint="Check that both show the same region, or choose the backend 'sitk'.",
            ) from error
    files = [Path(name) for name in result["fwdtransforms"]]
    try:
        return _transform(kind, files)
    finally:
        for name in {*result["fwdtransforms"], *result["invtransforms"]}:
            Path(name).unlink(missing_ok=True)


def _ants_image(ants: Any, volume: Volume) -> Any:
    affine = LPS_FROM_RAS @ volume.geometry.affine
    axes = affine[:3, :3] / np.asarray(volume.geometry.spacing_mm)
    return ants.from_numpy(
        np.ascontiguousarray(volume.array.transpose(2, 1, 0)),
        origin=affine[:3, 3].tolist(),
        spacing=[float(s) for s in reversed(volume.geometry.spacing_mm)],
        direction=axes[:, ::-1],
    )


def _transform(kind: str, files: list[Path]) -> SpatialTransform:
    """ANTs' files in order of application from the last to the first: the field, the matrix."""
    matrix, field = np.eye(4), None
    for path in files:
        if path.suffix == ".mat":
            matrix = matrix_of_itk(sitk.ReadTransform(str(path)))
        else:
            field = _field(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return SpatialTransform(kind, "ANTs", matrix, field)


def _field(image: Any) -> DisplacementField:
    i, j, k = image.GetSize()
    affine = np.eye(4)
    axes = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, :3] = axes[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    vectors = sitk.GetArrayFromImage(image) * (-1, -1, 1)
    geometry = Geometry.from_affine(LPS_FROM_RAS @ affine, (k, j, i))
    return DisplacementField(geometry, vectors.astype(np.float32))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before
