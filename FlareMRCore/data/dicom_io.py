"""DICOM series: which there are, in which order their slices lie, and their pixels by GDCM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from FlareMRCore.data.geometry import FloatArray, Shape
from FlareMRCore.data.image_file import LPS, FileGrid, ImageFile, geometry_of_file
from FlareMRCore.data.sitk_io import open_sitk
from FlareMRCore.errors import InputError, VolumeFormatError

UNIFORM_TOLERANCE = 0.02
"""Part of the slice distance by which distances may differ without a word."""

SAME_POSITION_MM = 0.01
SAME_DIRECTION = 1e-3

_TAGS = {
    "position": "0020|0032",
    "orientation": "0020|0037",
    "pixel_spacing": "0028|0030",
    "rows": "0028|0010",
    "columns": "0028|0011",
    "samples": "0028|0002",
    "frames": "0028|0008",
    "echo_time": "0018|0081",
    "temporal_position": "0020|0100",
    "acquisition": "0020|0012",
    "instance": "0020|0013",
    "description": "0008|103e",
    "modality": "0008|0060",
    "series": "0020|000e",
}
_FRAME_ORDER = ("temporal_position", "echo_time", "acquisition", "instance")


@dataclass(frozen=True, slots=True)
class DicomSeries:
    """One series of a folder: what its files have in common."""

    uid: str
    description: str
    modality: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """Header of one file; `position` and the rows of `axes` (i, j, normal) are LPS."""

    path: Path
    position: FloatArray
    axes: FloatArray
    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    order: tuple[float, ...]

    @property
    def depth_mm(self) -> float:
        return float(self.axes[2] @ self.position)


def is_dicom(path: Path) -> bool:
    """True if GDCM takes the file for DICOM, whatever its name."""
    io = SimpleITK.ImageFileReader.GetImageIOFromFileName(str(path))
    return bool(io == "GDCMImageIO")


def list_series(folder: Path) -> tuple[DicomSeries, ...]:
    """Image series in `folder` (not in folders below), by UID; empty if there are none."""
    found = []
    for uid in _series_uids(folder):
        files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        tags = _tags(Path(files[0]))
        if tags.get("rows"):
            description = tags.get("description", "")
            paths = tuple(Path(name) for name in files)
            found.append(DicomSeries(uid, description, tags.get("modality", ""), paths))
    return tuple(sorted(found, key=lambda series: series.uid))


def _series_uids(folder: Path) -> tuple[str, ...]:
    """UIDs of the series; ITK's warning about a folder without any would only confuse."""
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    try:
        return tuple(SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


def open_dicom(path: Path, *, series: str | None = None) -> ImageFile:
    """A series in the folder `path`, or the series that the file `path` belongs to.

    Slices are ordered by their position along the normal. Several images at each position
    (echoes, time points, b-values) become frames, in order of time point, echo time,
    acquisition and instance number.

    Args:
        path: folder or file.
        series: UID, number (from 1) or part of the description, if the folder has several.

    Raises:
        InputError: no series, several without a choice, or slices that form no volume.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_file():
        tags = _tags(path)
        if int(tags.get("frames") or 1) > 1:
            return open_sitk(path)
        series = tags.get("series") or series
    found = list_series(folder)
    chosen = _chosen(folder, found, series)
    if len(chosen.files) == 1 and int(_tags(chosen.files[0]).get("frames") or 1) > 1:
        return open_sitk(chosen.files[0])
    slices = [_read_slice(file) for file in chosen.files]
    _check_alike(path, slices)
    frames = _frames(path, slices)
    return _volume(path, frames, _left_out(folder, found))


def _left_out(folder: Path, found: Sequence[DicomSeries]) -> tuple[str, ...]:
    """Warning about DICOM files that GDCM silently passes over: damaged ones, or no images."""
    used = {file.name for series in found for file in series.files}
    names = sorted(
        file.name
        for file in folder.iterdir()
        if file.name not in used
        and file.name.upper() != "DICOMDIR"
        and file.is_file()
        and _has_preamble(file)
    )
    if not names:
        return ()
    listing = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{len(names)} DICOM files are damaged or hold no image and were left out: {listing}. "
        "If they are slices of this series, the volume is incomplete.",
    )


def _has_preamble(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _tags(file: Path) -> dict[str, str]:
    """Known tags of the file by name; empty if it is not a readable image."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return {}
    return {
        name: reader.GetMetaData(tag).strip(" \0")
        for name, tag in _TAGS.items()
        if reader.HasMetaDataKey(tag)
    }


def _chosen(folder: Path, found: Sequence[DicomSeries], wanted: str | None) -> DicomSeries:
    if not found:
        raise VolumeFormatError(
            f"The folder '{folder}' holds no DICOM images.",
            code="input.no-dicom",
            hint="Give the folder that directly holds the files of a series.",
        )
    if wanted is None:
        matches = list(found)
    else:
        exact = [s for n, s in enumerate(found, start=1) if wanted in (s.uid, str(n))]
        matches = exact or [s for s in found if wanted.lower() in s.description.lower()]
    if len(matches) == 1:
        return matches[0]
    listing = "; ".join(
        f"{n}: '{s.description}' {s.modality}, {len(s.files)} files, UID {s.uid}"
        for n, s in enumerate(found, start=1)
    )
    problem = f"{len(found)} DICOM series" if wanted is None else f"no single series '{wanted}'"
    raise InputError(
        f"The folder '{folder}' has {problem}. Its series are {listing}.",
        code="input.several-series" if wanted is None else "input.no-such-series",
        hint="Choose one by its number, its UID or a part of its description.",
    )


def _read_slice(file: Path) -> _Slice:
    tags = _tags(file)
    try:
        position = _numbers(tags["position"], 3)
        orientation = _numbers(tags["orientation"], 6).reshape(2, 3)
        row_mm, column_mm = _numbers(tags["pixel_spacing"], 2).tolist()
        size = int(tags["columns"]), int(tags["rows"])
    except (KeyError, ValueError) as error:
        raise VolumeFormatError(
            f"'{file}' does not say where it lies in the patient ({error}).",
            code="input.dicom-geometry",
            hint="Export the series again; secondary captures cannot be used.",
        ) from error
    if int(tags.get("samples") or 1) != 1:
        raise VolumeFormatError(
            f"'{file}' is a color image; expected gray values.",
            code="input.not-scalar",
            hint="Choose a series of gray-value images.",
        )
    axes = np.vstack([orientation, np.cross(*orientation)])
    order = tuple(_number(tags.get(name, "")) for name in _FRAME_ORDER)
    return _Slice(file, position, axes, (column_mm, row_mm), size, order)


def _numbers(text: str, count: int) -> FloatArray:
    values = np.array([float(part) for part in text.split("\\")])
    if values.shape != (count,) or not np.isfinite(values).all():
        message = f"expected {count} numbers, found '{text}'"
        raise ValueError(message)
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _check_alike(path: Path, slices: Sequence[_Slice]) -> None:
    first = slices[0]
    for other in slices[1:]:
        turned = np.abs(other.axes - first.axes).max() > SAME_DIRECTION
        rescaled = not np.allclose(other.spacing_mm, first.spacing_mm, rtol=1e-3)
        if turned or rescaled or other.size != first.size:
            what = "direction" if turned else "pixel size" if rescaled else "number of pixels"
            raise VolumeFormatError(
                f"The slices of '{path}' differ in their {what}: '{first.path.name}' and "
                f"'{other.path.name}'.",
                code="input.dicom-mixed",
                hint="Move localizers and other views to a folder of their own.",
            )


def _frames(path: Path, slices: Sequence[_Slice]) -> list[list[_Slice]]:
    """Slices by frame, each frame ordered along the normal."""
    groups: dict[int, list[_Slice]] = defaultdict(list)
    ordered = sorted(slices, key=lambda one: one.depth_mm)
    group, depth_mm = 0, ordered[0].depth_mm
    for one in ordered:
        if one.depth_mm - depth_mm > SAME_POSITION_MM:
            group, depth_mm = group + 1, one.depth_mm
        groups[group].append(one)
    counts = sorted({len(members) for members in groups.values()})
    if len(counts) > 1:
        raise VolumeFormatError(
            f"'{path}' has {counts[0]} images at some slice positions and {counts[-1]} at "
            "others; slices are missing or two series are mixed.",
            code="input.dicom-incomplete",
            hint="Export the series again, complete and alone.",
        )
    stacks = [sorted(members, key=lambda one: one.order) for members in groups.values()]
    return [[stack[frame] for stack in stacks] for frame in range(counts[0])]


def _volume(path: Path, frames: list[list[_Slice]], warnings: tuple[str, ...]) -> ImageFile:
    slices = frames[0]
    columns, rows = slices[0].size
    shape: Shape = (len(slices), rows, columns)
    affine, notes = _affine(slices)
    geometry, repairs = geometry_of_file(path, affine, shape)
    files = [[str(one.path) for one in frame] for frame in frames]

    def load(frame: int) -> NDArray[np.float32]:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(files[frame])
        # The type of the output, else slices with fractional slopes are cut to the first's type.
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise VolumeFormatError(
                f"The pixels of '{path}' cannot be read ({str(error).splitlines()[-1]}).",
                code="input.unreadable",
                hint="A file is damaged or compressed in an unknown way; export it again.",
            ) from error
        array: NDArray[np.float32] = SimpleITK.GetArrayFromImage(image).reshape(shape)
        return array

    grid = FileGrid(geometry, affine)
    return ImageFile(path, grid, len(frames), warnings + notes + repairs, load)


def _affine(slices: Sequence[_Slice]) -> tuple[FloatArray, tuple[str, ...]]:
    """Matrix from (k, j, i, 1) to RAS mm, and what to report about the slice distances."""
    first = slices[0]
    notes: tuple[str, ...] = ()
    if len(slices) == 1:
        step = first.axes[2]
        notes = ("A single slice has no slice distance; 1 mm is assumed.",)
    else:
        step = (slices[-1].position - first.position) / (len(slices) - 1)
        notes = _spacing_notes(slices)
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = first.axes[1] * first.spacing_mm[1]
    matrix[:3, 2] = first.axes[0] * first.spacing_mm[0]
    matrix[:3, 3] = first.position
    return LPS @ matrix, notes


def _spacing_notes(slices: Sequence[_Slice]) -> tuple[str, ...]:
    gaps_mm = np.diff([one.depth_mm for one in slices])
    usual_mm = float(np.median(gaps_mm))
    if np.abs(gaps_mm - usual_mm).max() <= UNIFORM_TOLERANCE * usual_mm:
        return ()
    missing = int(np.round(gaps_mm / usual_mm - 1.0).clip(0).sum())
    cause = f"; slices that seem to be missing: {missing}" if missing else ""
    return (
        f"The distance of the slices is not uniform: {gaps_mm.min():.2f} to {gaps_mm.max():.2f} "
        f"mm, usually {usual_mm:.2f} mm{cause}. The mean distance {gaps_mm.mean():.2f} mm is used; "
        "positions and volumes are distorted accordingly.",
    )
