"""Training packs: cases resampled to one spacing in canonical orientation, ready to sample from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.imaging.orientation import reorient, reorient_labels
from FlareMRCore.imaging.resampling import resampled_geometry, resize, resize_labels
from FlareMRCore.training.tissues import TISSUES, tissue_map

CLASSES = 14
LABEL_VALUES = 34
"""Label values of packs: 0 to 13 as in the organ table, 14 to 33 surroundings."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedCase:
    """One case of a pack.

    Attributes:
        case_id: name, also of the file.
        kind: ``"ct"``, ``"mr"`` or ``"labels"`` (no image).
        image: float16 (K, J, I): HU for CT and labels, standardized for MR.
        tissues: uint8 (K, J, I), ids of `FlareMRCore.training.tissues`.
        labels: uint8 (K, J, I), rows of `allowed`.
        allowed: bool (34, 14), the classes that each label value may stand for.
        spacing_mm: isotropic spacing.
        weight: how often the case is drawn, relative to the others.
    """

    case_id: str
    kind: str
    image: NDArray[np.float16]
    tissues: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    allowed: NDArray[np.bool_]
    spacing_mm: float
    weight: float


def allowed_classes(
    unannotated: tuple[int, ...], merged: Mapping[int, tuple[int, ...]]
) -> NDArray[np.bool_]:
    """Which classes a label value may stand for, bool (34, 14).

    Args:
        unannotated: organs that this case does not label; its background may hide them.
        merged: label value -> the classes it may be, 0 for "none of the organs".
    """
    allowed = np.zeros((LABEL_VALUES, CLASSES), dtype=bool)
    for value in range(LABEL_VALUES):
        own = (value,) if value < CLASSES else (0,)
        allowed[value, list(own)] = True
    for value in (0, 30):
        allowed[value, list(unannotated)] = True
    for value, classes in merged.items():
        allowed[value] = False
        allowed[value, list(classes)] = True
    return allowed


@dataclass(frozen=True, slots=True, eq=False)
class CaseDescription:
    """What a pack should know of a case besides its voxels; see `PackedCase`."""

    case_id: str
    kind: str
    allowed: NDArray[np.bool_]
    weight: float = 1.0


def pack_case(
    case: CaseDescription, volume: Volume | None, label_map: LabelMap, *, spacing_mm: float
) -> PackedCase:
    """The case in canonical orientation at `spacing_mm`; see `PackedCase`.

    Raises:
        DatasetError: image and label map lie on different grids.
    """
    oriented = reorient_labels(label_map)
    geometry = resampled_geometry(oriented.geometry, (spacing_mm,) * 3)
    labels = resize_labels(oriented.array, geometry.shape)
    if volume is None:
        image = _table_hounsfield(labels)
    elif not volume.geometry.coincides(label_map.geometry, tolerance_mm=0.1):
        raise DatasetError(
            f"Image and label map of case {case.case_id} lie on different grids.",
            code="dataset.grid",
        )
    else:
        image = resize(reorient(volume).array, geometry.shape, antialias=True)
    if case.kind == "mr":
        image = standardize(image, foreground_statistics(image))
    return PackedCase(
        case.case_id,
        case.kind,
        image.astype(np.float16),
        tissue_map(labels, image if case.kind == "ct" else None),
        labels,
        case.allowed,
        spacing_mm,
        case.weight,
    )


def save_case(case: PackedCase, folder: Path) -> Path:
    """Write the case to `folder`; returns the path of the .npz file."""
    path = folder / f"{case.case_id}.npz"
    header = {"kind": case.kind, "spacing_mm": case.spacing_mm, "weight": case.weight}
    np.savez_compressed(
        path,
        image=case.image,
        tissues=case.tissues,
        labels=case.labels,
        allowed=case.allowed,
        header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
    )
    return path


def load_pack(folder: Path) -> tuple[PackedCase, ...]:
    """All cases of a pack in order of their names.

    Raises:
        DatasetError: the folder holds none.
    """
    cases = tuple(_load_case(path) for path in sorted(folder.glob("*.npz")))
    if not cases:
        raise DatasetError(
            f"There is no training pack in {folder}: no .npz file.",
            code="dataset.no-pack",
            hint="Build one with `train pack`.",
        )
    return cases


def _load_case(path: Path) -> PackedCase:
    with np.load(path) as content:
        header = json.loads(content["header"].tobytes())
        return PackedCase(
            path.stem,
            header["kind"],
            content["image"],
            content["tissues"],
            content["labels"],
            content["allowed"],
            header["spacing_mm"],
            header["weight"],
        )


def _table_hounsfield(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    lookup = np.full(256, -1000, dtype=np.float32)
    for tissue_id, tissue in TISSUES.items():
        lookup[tissue_id] = tissue.hu
    return lookup[labels]
