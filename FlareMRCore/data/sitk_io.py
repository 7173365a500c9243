"""NRRD and MetaImage files, read with SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Shape
from FlareMRCore.data.image_file import (
    FileGrid,
    ImageFile,
    LpsGrid,
    affine_of_lps,
    geometry_of_file,
)
from FlareMRCore.data.nrrd_io import read_fields, stored_affine
from FlareMRCore.errors import VolumeFormatError


def open_sitk(path: Path) -> ImageFile:
    """The NRRD or MetaImage file `path`; the fourth axis of a 4-D image counts frames.

    Raises:
        VolumeFormatError: damaged, two-dimensional, or not one number per voxel.
        GeometryError: the grid is degenerate.
    """
    reader = _reader(path)
    size = tuple(int(n) for n in reader.GetSize())
    _check_layout(path, reader, size)
    lps = grid_of_reader(reader)
    affine = affine_of_lps(lps)
    shape: Shape = (size[2], size[1], size[0])
    geometry, warnings = geometry_of_file(path, affine, shape)
    stored = stored_affine(read_fields(path)) if path.suffix.lower() in (".nrrd", ".nhdr") else None
    if stored is not None and np.allclose(stored, affine, rtol=1e-6, atol=1e-4):
        # ITK splits a vector into length and direction, which costs the last bit.
        affine = stored

    def load(frame: int) -> NDArray[np.float32]:
        return _pixels(path, size, frame)

    return ImageFile(
        path=path,
        grid=FileGrid(geometry, affine, lps=lps),
        frames=size[3] if len(size) == 4 else 1,
        warnings=warnings,
        load=load,
    )


def read_layers(path: Path) -> NDArray[np.float32]:
    """Layers of a segmentation file, (layers, K, J, I); one layer unless segments overlap."""
    array = SimpleITK.GetArrayFromImage(_execute(_reader(path), path)).astype(np.float32)
    return array[np.newaxis] if array.ndim == 3 else np.moveaxis(array, -1, 0)


def grid_of_reader(reader: SimpleITK.ImageFileReader) -> LpsGrid:
    """The first three dimensions of the grid."""
    dimension = reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    return LpsGrid(
        tuple(reader.GetOrigin()[:3]),
        tuple(reader.GetSpacing()[:3]),
        tuple(direction.ravel().tolist()),
    )


def open_segmentation_grid(path: Path) -> FileGrid:
    """Grid of a segmentation file, whose layers are components of a vector."""
    reader = _reader(path)
    lps = grid_of_reader(reader)
    i, j, k = (int(n) for n in reader.GetSize()[:3])
    affine = affine_of_lps(lps)
    geometry, _ = geometry_of_file(path, affine, (k, j, i))
    return FileGrid(geometry, affine, lps=lps)


def _reader(path: Path) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def _check_layout(path: Path, reader: SimpleITK.ImageFileReader, size: tuple[int, ...]) -> None:
    if reader.GetNumberOfComponents() != 1 or len(size) > 4:
        raise VolumeFormatError(
            f"'{path}' has {reader.GetNumberOfComponents()} numbers per voxel and {len(size)} "
            "dimensions; expected a 3-D or 4-D image of single numbers.",
            code="input.not-scalar",
            hint="Choose one component or frame and save it as a 3-D image of gray values.",
        )
    if len(size) < 3:
        raise VolumeFormatError(
            f"'{path}' is {len(size)}-dimensional; expected a 3-D image.",
            code="input.not-3d",
            hint="Give the whole stack of slices.",
        )


def _pixels(path: Path, size: tuple[int, ...], frame: int) -> NDArray[np.float32]:
    reader = _reader(path)
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    if len(size) == 4:
        reader.SetExtractSize([*size[:3], 0])
        reader.SetExtractIndex([0, 0, 0, frame])
    array: NDArray[np.float32] = SimpleITK.GetArrayFromImage(_execute(reader, path))
    return array


def _execute(reader: SimpleITK.ImageFileReader, path: Path) -> SimpleITK.Image:
    try:
        image: SimpleITK.Image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return image


def _unreadable(path: Path, error: RuntimeError) -> VolumeFormatError:
    reason = str(error).strip().splitlines()[-1]
    return VolumeFormatError(
        f"'{path}' cannot be read ({reason}).",
        code="input.unreadable",
        hint="The file is damaged or incomplete; copy or export it again.",
    )
