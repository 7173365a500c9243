"""NIfTI pixels: reading any scalar type and frame, writing label maps and volumes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.image_file import FileGrid, ImageFile, geometry_of_file
from FlareMRCore.data.nifti_header import (
    NiftiHeader,
    header_affine,
    new_header,
    open_stream,
    read_header,
)
from FlareMRCore.errors import VolumeFormatError

SCALAR_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
VECTOR_TYPES = {32: "complex", 1792: "complex", 2048: "complex", 128: "RGB", 2304: "RGBA"}
GZIP_LEVEL = 3
"""Within a few percent of the smallest file at a third of the time."""


def open_nifti(path: Path) -> ImageFile:
    """The NIfTI file `path` (.nii, .nii.gz, or .hdr with .img).

    Raises:
        VolumeFormatError: damaged, two-dimensional, or not one number per voxel.
        GeometryError: the grid is degenerate.
    """
    header = read_header(path)
    _check_dimensions(path, header)
    _check_type(path, header)
    affine, notes = header_affine(header)
    geometry, repairs = geometry_of_file(path, affine, header.shape)
    slope, intercept, scaling_notes = _scaling(header)

    def load(frame: int) -> NDArray[np.float32]:
        return _rescaled(_stored_pixels(path, header, frame), slope, intercept)

    return ImageFile(
        path=path,
        grid=FileGrid(geometry, affine, nifti=header.raw),
        frames=int(header["dim"][4]) if header["dim"][0] >= 4 else 1,
        warnings=notes + repairs + scaling_notes,
        load=load,
    )


def write_nifti(
    stream: BinaryIO, array: NDArray[np.uint8] | NDArray[np.float32], grid: FileGrid, *, gz: bool
) -> None:
    """Write `array` (K, J, I) as one NIfTI file; equal input gives equal bytes."""
    datatype = (2, 8) if array.dtype == np.uint8 else (16, 32)
    header = new_header(grid.geometry.shape, datatype, grid.affine, grid.nifti)
    pixels = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if not gz:
        stream.write(header)
        stream.write(pixels.data)
        return
    with gzip.GzipFile("", "wb", GZIP_LEVEL, stream, mtime=0) as compressed:
        compressed.write(header)
        compressed.write(pixels.data)


def _check_dimensions(path: Path, header: NiftiHeader) -> None:
    dimensions = [int(n) for n in header["dim"]]
    used = dimensions[1 : dimensions[0] + 1] if 1 <= dimensions[0] <= 7 else []
    if any(n < 1 for n in used) or not used:
        raise VolumeFormatError(
            f"'{path}' holds no voxels: its dimensions are {dimensions}.",
            code="input.empty",
            hint="Export the image again.",
        )
    if dimensions[0] < 3:
        raise VolumeFormatError(
            f"'{path}' is {dimensions[0]}-dimensional; expected a 3-D image.",
            code="input.not-3d",
            hint="Give the whole stack of slices.",
        )
    if any(n > 1 for n in used[4:]):
        raise VolumeFormatError(
            f"'{path}' has several numbers per voxel (dimensions {used}); expected one.",
            code="input.not-scalar",
            hint="Choose one component or frame and save it as a 3-D image.",
        )


def _check_type(path: Path, header: NiftiHeader) -> None:
    code = int(header["datatype"])
    if code in SCALAR_TYPES:
        return
    kind = VECTOR_TYPES.get(code)
    raise VolumeFormatError(
        f"'{path}' has {kind} voxels; expected one real number per voxel."
        if kind
        else f"'{path}' has voxels of the unknown type {code}.",
        code="input.not-scalar" if kind else "input.unreadable",
        hint="Save the image as gray values, e.g. 16-bit integers or 32-bit floats.",
    )


def _scaling(header: NiftiHeader) -> tuple[float, float, tuple[str, ...]]:
    """Slope and intercept of the stored numbers; a slope of 0 means none (nifti1.h)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        note = f"The intensity scaling of the file ({slope}, {intercept}) is invalid and ignored."
        return 1.0, 0.0, (note,)
    return (slope, intercept, ()) if slope != 0.0 else (1.0, 0.0, ())


def _stored_pixels(path: Path, header: NiftiHeader, frame: int) -> NDArray[np.generic]:
    """Numbers of one frame as stored, (K, J, I)."""
    dtype = np.dtype(header.byte_order + SCALAR_TYPES[int(header["datatype"])])
    count = int(np.prod(header.shape, dtype=np.int64))
    size = count * dtype.itemsize
    start = int(header["vox_offset"]) if header.in_one_file else 0
    start = max(start, len(header.raw)) if header.in_one_file else start
    source = path if header.in_one_file else _pixel_file(path)
    try:
        with open_stream(source) as stream:
            stream.seek(start + frame * size)
            content = stream.read(size)
            if header["dim"][0] < 4:
                # Only the end of the stream shows whether its checksum holds.
                stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(source, f"the compressed data break off ({error})") from error
    if len(content) < size:
        raise _truncated(source, f"{len(content)} of {size} bytes of pixels are there")
    return np.frombuffer(content, dtype).reshape(header.shape)


def _pixel_file(header_path: Path) -> Path:
    stem = header_path.name.removesuffix(".gz").rpartition(".")[0]
    for suffix in (".img", ".img.gz"):
        candidate = header_path.with_name(stem + suffix)
        if candidate.is_file():
            return candidate
    raise VolumeFormatError(
        f"The pixels of '{header_path}' are missing: there is no '{stem}.img' beside it.",
        code="input.missing",
        hint="Keep both files in one folder.",
    )


def _truncated(path: Path, what: str) -> VolumeFormatError:
    return VolumeFormatError(
        f"'{path}' is incomplete: {what}.",
        code="input.truncated",
        hint="Copy or download the file again.",
    )


def _rescaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """Stored * slope + intercept, rounded once to float32; slice by slice to spare memory."""
    with np.errstate(over="ignore", invalid="ignore"):
        if slope == 1.0 and intercept == 0.0:
            return stored.astype(np.float32)
        result = np.empty(stored.shape, np.float32)
        for source, target in zip(stored, result, strict=True):
            target[...] = source.astype(np.float64) * slope + intercept
        return result
