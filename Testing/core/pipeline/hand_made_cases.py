"""Small cases with known content, written to a folder as stages find them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext
from FlareMRCore.progress import SilentReporter

SHAPE = (20, 24, 28)
GRID = Geometry(SHAPE, (5.0, 5.0, 5.0))
LIVER = 1


def ellipsoid(center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """True inside, (K, J, I), in voxels of `SHAPE`."""
    grid = np.indices(SHAPE).astype(np.float64)
    terms = [((axis - c) / r) ** 2 for axis, c, r in zip(grid, center, radii, strict=True)]
    return np.asarray(sum(terms) <= 1)


def body(shift: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of a body with a liver, moved along I by whole voxels."""
    center = (10.0, 12.0, 13.0 + shift)
    inside = ellipsoid(center, (8 * scale, 9 * scale, 10 * scale))
    liver = ellipsoid((10.0, 12.0, 17.0 + shift), (4, 5, 4)) & inside
    image = np.where(liver, 700.0, np.where(inside, 300.0, 0.0)).astype(np.float32)
    noise = np.random.default_rng(7).normal(0, 4, SHAPE).astype(np.float32)
    return np.maximum(image + noise, 0), liver.astype(np.uint8) * LIVER


def case(
    folder: Path,
    name: str,
    image: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    sequence: str = "venous",
    domain: str = "target",
    source: str = "predicted",
) -> RecipeCase:
    """A case in `folder`; its name is PATIENT-REST."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.nii.gz"
    write_volume(path, Volume(image.astype(np.float32), GRID))
    found = RecipeCase(
        name,
        name.split("-")[0],
        domain,
        "CT" if domain == "source" else "MR",
        {sequence: DataFile(path, sha256_of(path))},
    )
    if labels is None:
        return found
    label_path = folder / f"{name}-labels.nii.gz"
    write_label_map(label_path, LabelMap(labels.astype(np.uint8), GRID, organ_table()))
    return RecipeCase(
        found.case_id,
        found.patient_id,
        found.domain,
        found.modality,
        found.images,
        DataFile(label_path, sha256_of(label_path)),
        source,
        tuple(label.id for label in organ_table()),
    )


def context(folder: Path) -> StageContext:
    """Where a stage writes; `folder` is made."""
    for name in ("out", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return StageContext(folder / "out", folder / "work", SilentReporter(), "cpu", 1)
