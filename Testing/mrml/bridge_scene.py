"""Volumes, transforms and stand-in results for the tests of MrmlBridge."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
from FlareMRSegLib.MrmlBridge import MrmlBridge, segmentIdsByOrgan  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, segmentLabels, worldMatrix  # noqa: E402
from FlareMRSegLib.Options import SegmentationOptions  # noqa: E402

from FlareMRCore.data.label_io import write_label_map  # noqa: E402
from FlareMRCore.data.labels import organ_table  # noqa: E402
from FlareMRCore.data.volume import LabelMap  # noqa: E402
from FlareMRCore.data.volume_io import read_with_warnings  # noqa: E402

SHAPE = (6, 7, 8)
RECORD: dict[str, Any] = {
    "finished": "2026-01-01T12:00:00+00:00",
    "shape": list(SHAPE),
    "warnings": [],
    "report": {"weights_id": "tiny", "weights_version": "1", "weights_sha256": {"a.pt": "0" * 64}},
    "organs": [],
}


def oblique() -> np.ndarray:
    """An anisotropic, oblique, shifted grid (IJK to RAS)."""
    a, b = np.radians((17.0, -9.0))
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_r * (1.2, 1.5, 7.7)
    matrix[:3, 3] = (-31.25, 12.5, 407.125)
    return matrix


def flips() -> list[np.ndarray]:
    """All 48 axis orders and flips of an anisotropic grid."""
    matrices = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(4)
        matrix[:3, :3] = (np.eye(3) * signs)[:, list(order)] * (1.1, 1.3, 4.7)
        matrix[:3, 3] = (10.5, -20.25, 30.125)
        matrices.append(matrix)
    return matrices


def add_volume(matrix: np.ndarray, dtype: type = np.int16) -> Any:
    """A volume whose voxels are all different."""
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name="MR  Bäuche")


def add_transform(matrix: np.ndarray) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def small_rotation() -> np.ndarray:
    a = np.radians(8)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    matrix[:3, 3] = (5, -7, 11)
    return matrix


def labels_of(array: np.ndarray) -> np.ndarray:
    """Labels that tell every corner of the grid apart, as if from the engine."""
    labels = np.zeros(array.shape, np.uint8)
    values = organ_table().values
    flat = labels.reshape(-1)
    flat[:: max(1, flat.size // 60)] = 1
    flat[-5:] = values[-1]
    flat[10:20] = values[3]
    return labels


def segment_stand_in(folder: Path) -> np.ndarray:
    """Read the input and write labels on its grid, as the engine does; the labels."""
    read = read_with_warnings(folder / "input.nrrd")
    labels = labels_of(read.volume.array)
    label_map = LabelMap(labels, read.volume.geometry, organ_table())
    write_label_map(folder / "result.nrrd", label_map, like=read.grid)
    return labels


def round_trip(
    bridge: MrmlBridge, volume: Any, folder: Path, **given: Any
) -> tuple[Any, np.ndarray, Any]:
    """The segmentation node, the labels the stand-in engine made, and what was prepared."""
    prepared = bridge.prepareInput(volume, folder / "input.nrrd", **given)
    made = segment_stand_in(folder)
    labels = bridge.readLabels(folder / "result.nrrd", prepared)
    node = bridge.addResult(labels, prepared, options=SegmentationOptions(), record=RECORD)
    return node, made, prepared


def world_points(node: Any, organ: str) -> np.ndarray:
    """Voxel centers of an organ in world coordinates, in a fixed order."""
    voxels, matrix = segmentLabels(node, segmentIdsByOrgan(node)[organ])
    ijk = np.argwhere(voxels)[:, ::-1]
    points = np.c_[ijk, np.ones(len(ijk))] @ (worldMatrix(node) @ matrix).T
    return np.array(sorted(points[:, :3].round(6).tolist()))


def expected_points(volume: Any, labels: np.ndarray, organ: str) -> np.ndarray:
    ijk = np.argwhere(labels == organ_table().by_id(organ).value)[:, ::-1]
    points = np.c_[ijk, np.ones(len(ijk))] @ (worldMatrix(volume) @ ijkToRas(volume)).T
    return np.array(sorted(points[:, :3].round(6).tolist()))
