"""Reading and writing volumes: chooses the toolkit by content and checks what comes out."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_atomically
from FlareMRCore.data.dicom_io import is_dicom, open_dicom
from FlareMRCore.data.image_file import FileGrid, ImageFile
from FlareMRCore.data.metaimage_io import write_metaimage
from FlareMRCore.data.nifti_header import open_stream, parse_header
from FlareMRCore.data.nifti_io import open_nifti, write_nifti
from FlareMRCore.data.nrrd_io import write_nrrd
from FlareMRCore.data.sitk_io import open_sitk
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError, InputError, UsageError, VolumeFormatError

READABLE = "NIfTI (.nii, .nii.gz), NRRD, MetaImage (.mha, .mhd) and DICOM"
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File names that look like images; what a file is, its content says."""

HEADER_BYTES = 540

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ReadResult:
    """A volume with what its file said.

    Attributes:
        volume: one frame.
        grid: grid of the file; pass it as `like` when writing what belongs to this volume.
        frames: number of frames in the file.
        warnings: what was repaired or decided, sentences for people.
    """

    volume: Volume
    grid: FileGrid
    frames: int
    warnings: tuple[str, ...]


def read_volume(path: Path | str, *, frame: int = 0, series: str | None = None) -> Volume:
    """One frame of the image at `path`; warnings go to the log.

    See `read_with_warnings`, which returns them, for arguments and errors.
    """
    result = read_with_warnings(path, frame=frame, series=series)
    for warning in result.warnings:
        logger.warning("%s: %s", path, warning)
    return result.volume


def read_with_warnings(
    path: Path | str, *, frame: int = 0, series: str | None = None
) -> ReadResult:
    """One frame of the image at `path`, its grid as stored, and what had to be decided.

    Args:
        path: NIfTI, NRRD or MetaImage file, DICOM file, or folder of DICOM files.
        frame: which volume of a 4-D image, from 0.
        series: UID, number or part of the description of a DICOM series, if there are several.

    Raises:
        InputError: missing, damaged, not 3-D, not scalar, not finite or constant; the message
            names the file and what to do, the code tells which.
    """
    image = open_image(path, series=series)
    array = load_frame(image, frame)
    _check_intensities(image.path, array)
    notes = list(image.warnings)
    if image.frames > 1:
        notes.append(f"The image has {image.frames} frames; frame {frame} is used.")
    if array.shape[0] == 1:
        notes.append("The image has a single slice.")
    volume = Volume(array, image.grid.geometry)
    return ReadResult(volume, image.grid, image.frames, tuple(notes))


def open_image(path: Path | str, *, series: str | None = None) -> ImageFile:
    """The image at `path` without its pixels: grid, frames, warnings.

    Raises:
        InputError: as `read_with_warnings`, for what the header tells.
    """
    path = Path(path)
    if path.is_dir():
        return open_dicom(path, series=series)
    if not path.is_file():
        raise InputError(
            f"There is no file '{path}'.", code="input.missing", hint="Check the path."
        )
    head = _head(path)
    if not head:
        raise VolumeFormatError(
            f"'{path}' is an empty file.",
            code="input.empty-file",
            hint="Copy or export it again.",
        )
    if series is not None and not is_dicom(path):
        raise InputError(
            f"'{path}' is not DICOM, and has no series to choose from.",
            code="input.series",
            hint="Leave the series out.",
        )
    if parse_header(head) is not None or _named_nifti(path):
        return open_nifti(path)
    if head.startswith(b"NRRD") or path.suffix.lower() in (".mha", ".mhd", ".nrrd", ".nhdr"):
        return open_sitk(path)
    if is_dicom(path):
        return open_dicom(path, series=series)
    raise VolumeFormatError(
        f"'{path}' is not in a format FlareMR reads: {READABLE}.",
        code="input.unsupported-format",
        hint="Convert it, for example by saving it from 3D Slicer.",
    )


def frame_count(path: Path | str, *, series: str | None = None) -> int:
    """Number of volumes at `path`, 1 for a 3-D image.

    Raises:
        InputError: as `open_image`.
    """
    return open_image(path, series=series).frames


def read_grid(path: Path | str, *, series: str | None = None) -> FileGrid:
    """Grid of the image at `path`, to be repeated by an output; pixels are not read.

    Raises:
        InputError: as `open_image`.
    """
    return open_image(path, series=series).grid


def load_frame(image: ImageFile, frame: int) -> NDArray[np.float32]:
    """Pixels (K, J, I) of one frame.

    Raises:
        InputError: no such frame, or the pixels are damaged.
    """
    if not 0 <= frame < image.frames:
        raise InputError(
            f"'{image.path}' has no frame {frame}; it has {image.frames}, counted from 0.",
            code="input.frame",
            hint=f"Choose a frame from 0 to {image.frames - 1}.",
        )
    return image.load(frame)


def write_volume(path: Path | str, volume: Volume, *, like: FileGrid | None = None) -> None:
    """Write intensities as float32, atomically; the suffix (see `WRITABLE`) is the format.

    Args:
        path: target, replaced if it exists.
        volume: intensities.
        like: grid of the file `volume` belongs to, repeated to the last bit.

    Raises:
        UsageError: unknown suffix, or a target that cannot be written.
        GeometryError: `like` is another grid than that of `volume`.
    """
    write_array(Path(path), volume, like)


def write_array(path: Path, image: Volume | LabelMap, like: FileGrid | None) -> None:
    """Write the bare image of `write_volume` and `write_label_map`."""
    check_suffix(path)
    grid = grid_for(image, like, path)
    name = path.name.lower()

    def write(stream: BinaryIO) -> None:
        if name.endswith((".nii", ".nii.gz")):
            write_nifti(stream, image.array, grid, gz=name.endswith(".gz"))
        elif name.endswith(".nrrd"):
            write_nrrd(stream, image.array, grid)
        else:
            write_metaimage(stream, image.array, grid)

    write_atomically(path, write)


def check_suffix(path: Path) -> None:
    """Raise UsageError unless the name of the output ends in a known suffix."""
    if not path.name.lower().endswith(WRITABLE):
        raise UsageError(
            f"'{path}' has no suffix FlareMR writes: {', '.join(WRITABLE)}.",
            code="output.format",
            hint="Change the suffix of the output.",
        )


def grid_for(image: Volume | LabelMap, like: FileGrid | None, path: Path) -> FileGrid:
    """The grid to store for `image`: that of the file it belongs to, or its own.

    Raises:
        GeometryError: the grids differ.
    """
    if like is None:
        return FileGrid.of(image.geometry)
    if not image.geometry.coincides(like.geometry):
        raise GeometryError(
            f"'{path}' was not written: its grid {image.geometry.shape} is not that of the "
            f"input {like.geometry.shape}, or lies elsewhere.",
            code="geometry.mismatch",
            hint="Bring the result back to the grid of the input first.",
        )
    return like


def _head(path: Path) -> bytes:
    """First bytes of the decompressed content; empty if there are none."""
    try:
        with open_stream(path) as stream:
            return stream.read(HEADER_BYTES)
    except PermissionError as error:
        raise InputError(
            f"'{path}' may not be read ({error.strerror}).",
            code="input.permission",
            hint="Ask for the right to read it, or copy it elsewhere.",
        ) from error
    except (EOFError, OSError, zlib.error):
        return b"?"


def _named_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _check_intensities(path: Path, array: NDArray[np.float32]) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        count = array.size - int(np.count_nonzero(finite))
        raise InputError(
            f"'{path}' has {count} of {array.size} voxels that are not finite (NaN or infinite).",
            code="input.not-finite",
            hint="Replace them, for example by 0, and try again.",
        )
    low, high = float(array.min()), float(array.max())
    if low < high:
        return
    raise InputError(
        f"'{path}' shows nothing: every voxel is {low:g}.",
        code="input.all-zero" if low == 0 else "input.constant",
        hint="Check that the right image or frame was exported.",
    )
