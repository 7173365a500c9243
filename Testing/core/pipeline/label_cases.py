"""Tiny cases with label maps, made on disk as stages want them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.pipeline.case_labels import read_case_labels
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext
from FlareMRCore.progress import SilentReporter

GRID = Geometry((1, 1, 6), (2.0, 2.0, 2.0))
ALL = tuple(label.id for label in organ_table())


def row(*values: float) -> np.ndarray:
    """An array (1, 1, n)."""
    return np.array(values)[None, None]


def labeled_case(
    folder: Path,
    labels: np.ndarray | None,
    *,
    case_id: str = "c",
    patient_id: str = "",
    images: Mapping[str, np.ndarray] | None = None,
    geometry: Geometry | None = None,
    source: str = "predicted",
    domain: str = "target",
    annotated: tuple[str, ...] = ALL,
) -> RecipeCase:
    """A case with files of its own below `folder`."""
    place = folder / f"{len(list(folder.glob('*')))}-{case_id}"
    place.mkdir(parents=True)
    shape = (labels if images is None else next(iter(images.values()))).shape
    grid = geometry or Geometry(shape, GRID.spacing_mm)
    files = {}
    for name, array in (images or {"t1": np.zeros(shape)}).items():
        path = place / f"{name}.nii.gz"
        write_volume(path, Volume(array.astype(np.float32), grid))
        files[name] = DataFile(path, sha256_of(path))
    case = RecipeCase(case_id, patient_id or case_id, domain, "MR", files)
    if labels is None:
        return case
    path = place / "labels.nii.gz"
    write_label_map(path, LabelMap(labels.astype(np.uint8), grid, structure_table()))
    return RecipeCase(
        case_id, patient_id or case_id, domain, "MR", files, DataFile(path, sha256_of(path)),
        source, annotated,
    )  # fmt: skip


def context(folder: Path, name: str = "out") -> StageContext:
    """Where a stage writes."""
    (folder / name).mkdir()
    return StageContext(folder / name, folder, SilentReporter())


def values_of(case: RecipeCase) -> list[int]:
    """All labels of a case, in order."""
    return [int(value) for value in read_case_labels(case).array.ravel()]
