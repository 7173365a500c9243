"""Which images are meant: files, folders of images, DICOM folders, frames of 4-D images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.data.dicom_io import is_dicom, list_series
from FlareMRCore.data.volume_io import IMAGE_SUFFIXES, frame_count
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.segment_case import case_name


@dataclass(frozen=True, slots=True)
class CaseInput:
    """One volume to segment.

    Attributes:
        name: unique among the inputs of a job; names its output.
        path: image file or DICOM folder.
        frame: volume of a 4-D image, from 0; None if there is only one.
    """

    name: str
    path: Path
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """The volumes of a job; `is_single` if the user named exactly one."""

    cases: tuple[CaseInput, ...]
    is_single: bool


def find_inputs(paths: Sequence[Path], *, frame: int | None = None) -> FoundInputs:
    """All volumes that `paths` name, each once, in order.

    A folder with images is a batch of these; folders below are looked at only for DICOM series.
    All frames of a 4-D image are meant unless `frame` chooses one. Images that cannot be opened
    stay in the list, so that they fail one by one.

    Raises:
        InputError: a path does not exist, or a folder holds no image.
    """
    found: list[tuple[str, Path]] = []
    folders = False
    for path in paths:
        images = _images(path)
        folders = folders or images != [path]
        found += [(case_name(image), image) for image in images]
    unique = list(dict.fromkeys(found))
    cases = [case for name, path in _distinct_names(unique) for case in _frames(name, path, frame)]
    return FoundInputs(tuple(cases), is_single=len(cases) == 1 and not folders)


def _images(path: Path) -> list[Path]:
    """The path itself, or the images in the folder."""
    if not path.exists():
        raise InputError(
            f"There is no file or folder '{path}'.",
            code="input.missing",
            hint="Check the path.",
        )
    if not path.is_dir():
        return [path]
    images = sorted(file for file in path.iterdir() if _looks_like_image(file))
    if images:
        return images
    if list_series(path):
        return [path]
    series = sorted(folder for folder in path.iterdir() if _holds_dicom(folder))
    if series:
        return series
    raise InputError(
        f"The folder '{path}' holds no images ({', '.join(IMAGE_SUFFIXES)} or DICOM).",
        code="input.no-images",
        hint="Give a folder with image files or with DICOM series.",
    )


def _looks_like_image(path: Path) -> bool:
    name = path.name.lower()
    visible = not name.startswith(".") and not name.endswith(".seg.nrrd")
    return visible and name.endswith(IMAGE_SUFFIXES) and path.is_file()


def _holds_dicom(folder: Path) -> bool:
    """True if the first file in the folder is DICOM; series are listed when they are opened."""
    if not folder.is_dir():
        return False
    first = next((file for file in sorted(folder.iterdir()) if file.is_file()), None)
    return first is not None and is_dicom(first)


def _distinct_names(found: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Names made different by the name of the folder, and by a number where that is the same."""
    names = [name.lower() for name, _ in found]
    taken: set[str] = set()
    result = []
    for name, path in found:
        chosen = name
        if names.count(name.lower()) > 1:
            chosen = f"{path.resolve().parent.name}_{name}"
        unique, number = chosen, 2
        while unique.lower() in taken:
            unique, number = f"{chosen}_{number}", number + 1
        taken.add(unique.lower())
        result.append((unique, path))
    return result


def _frames(name: str, path: Path, frame: int | None) -> list[CaseInput]:
    if frame is not None:
        return [CaseInput(name, path, frame)]
    try:
        count = frame_count(path)
    except InputError:
        return [CaseInput(name, path)]  # reported when the case is read
    if count == 1:
        return [CaseInput(name, path)]
    digits = len(str(count - 1))
    return [CaseInput(f"{name}_frame{n:0{digits}d}", path, n) for n in range(count)]
