"""Fixtures that tests of every area may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real images, next to the repository; the test is skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "splits.json").is_file():
        pytest.skip(f"needs the real images in {folder}")
    return folder


@pytest.fixture
def oblique_geometry() -> Geometry:
    """Anisotropic, oblique, shifted grid of (5, 7, 9) voxels; no two axes are alike."""
    alpha, beta = np.radians(17.0), np.radians(-9.0)
    about_s = np.array(
        [[np.cos(alpha), -np.sin(alpha), 0], [np.sin(alpha), np.cos(alpha), 0], [0, 0, 1]]
    )
    about_r = np.array(
        [[1, 0, 0], [0, np.cos(beta), -np.sin(beta)], [0, np.sin(beta), np.cos(beta)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = (about_s @ about_r)[:, ::-1] * (7.7, 1.5, 1.2)
    affine[:3, 3] = (-31.25, 12.5, 407.125)
    return Geometry.from_affine(affine, (5, 7, 9))


@pytest.fixture
def oblique_volume(oblique_geometry: Geometry) -> Volume:
    """Volume whose voxels are all different, on `oblique_geometry`."""
    shape = oblique_geometry.shape
    ramp = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Volume(ramp, oblique_geometry)
