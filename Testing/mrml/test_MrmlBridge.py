"""MrmlBridge on real MRML: what goes out, and where the result comes back to."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
import vtk  # noqa: E402
from FlareMRSegLib.MrmlBridge import MrmlBridge  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, worldMatrix  # noqa: E402

from FlareMRCore.data.volume_io import read_with_warnings  # noqa: E402
from FlareMRCore.errors import GeometryError, InputError  # noqa: E402
from Testing.mrml.bridge_scene import (  # noqa: E402
    SHAPE,
    add_transform,
    add_volume,
    expected_points,
    flips,
    oblique,
    round_trip,
    segment_stand_in,
    small_rotation,
    world_points,
)


@pytest.fixture
def bridge(scene: Any) -> MrmlBridge:
    return MrmlBridge(scene)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.int32])
def test_voxels_and_matrix_are_written_to_the_last_bit(
    bridge: MrmlBridge, tmp_path: Path, dtype: type
) -> None:
    matrix = oblique()
    volume = add_volume(matrix, dtype)
    bridge.prepareInput(volume, tmp_path / "in put ä.nrrd")
    read = read_with_warnings(tmp_path / "in put ä.nrrd")
    assert np.array_equal(read.volume.array, slicer.util.arrayFromVolume(volume))
    assert np.array_equal(read.grid.affine[:, [2, 1, 0, 3]], ijkToRas(volume))


@pytest.mark.parametrize("matrix", [*flips(), oblique()])
def test_the_result_lies_exactly_on_the_input(
    bridge: MrmlBridge, tmp_path: Path, matrix: np.ndarray
) -> None:
    volume = add_volume(matrix)
    node, made, prepared = round_trip(bridge, volume, tmp_path)
    assert prepared.notes == ()
    for organ in ("liver", "left_kidney"):
        points = world_points(node, organ)
        assert np.array_equal(points, expected_points(volume, made, organ))
        assert len(points) > 0


def test_a_linear_transform_stays_above_input_and_result(
    bridge: MrmlBridge, tmp_path: Path
) -> None:
    volume = add_volume(oblique())
    transform = add_transform(small_rotation())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node, made, prepared = round_trip(bridge, volume, tmp_path)
    assert node.GetTransformNodeID() == transform.GetID()
    assert prepared.notes == ()
    assert np.array_equal(prepared.fileMatrix, ijkToRas(volume))
    assert np.allclose(world_points(node, "liver"), expected_points(volume, made, "liver"))


def test_a_transform_that_turns_the_patient_is_seen_by_the_engine(
    bridge: MrmlBridge, tmp_path: Path
) -> None:
    volume = add_volume(oblique())
    transform = add_transform(np.diag([-1.0, -1.0, 1.0, 1.0]))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node, made, prepared = round_trip(bridge, volume, tmp_path)
    assert len(prepared.notes) == 1
    assert np.allclose(prepared.fileMatrix, worldMatrix(volume) @ ijkToRas(volume))
    assert node.GetTransformNodeID() == transform.GetID()
    assert np.allclose(world_points(node, "liver"), expected_points(volume, made, "liver"))


def test_a_non_linear_transform_is_hardened_in_a_copy(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    before = slicer.util.arrayFromVolume(volume).copy()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in product((-60, 0, 60), repeat=3):
        source.InsertNextPoint(*point)
        x, y, z = point
        target.InsertNextPoint(x + 3 * np.sin(y), y + 2, z)
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    transform.SetAndObserveTransformToParent(spline)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node, made, prepared = round_trip(bridge, volume, tmp_path)
    copy = slicer.mrmlScene.GetNodeByID(prepared.volumeId)
    assert prepared.volumeId != volume.GetID()
    assert copy.GetName() in prepared.notes[0]
    assert copy.GetTransformNodeID() is None
    assert node.GetTransformNodeID() is None
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before)
    assert volume.GetTransformNodeID() == transform.GetID()
    assert np.array_equal(world_points(node, "liver"), expected_points(copy, made, "liver"))


def add_roi(center: np.ndarray, size: tuple[float, ...]) -> Any:
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenterWorld(*center)
    roi.SetSizeWorld(*size)
    return roi


def test_a_region_is_cut_out_and_put_back(bridge: MrmlBridge, tmp_path: Path) -> None:
    matrix = np.diag([1.5, 2.0, 4.0, 1.0])
    volume = add_volume(matrix)
    # Centers of the voxels i 2..5, j 1..4, k 2..4.
    roi = add_roi(matrix[:3, :3] @ (3.5, 2.5, 3.0), (1.5 * 4, 2.0 * 4, 4.0 * 3))
    node, made, prepared = round_trip(bridge, volume, tmp_path, roi=roi)
    assert prepared.start == (2, 1, 2)
    assert made.shape == (3, 4, 4)
    whole = np.zeros(SHAPE, np.uint8)
    whole[2:5, 1:5, 2:6] = made
    assert np.array_equal(world_points(node, "liver"), expected_points(volume, whole, "liver"))


def test_a_region_beside_the_image_is_refused(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    with pytest.raises(InputError) as caught:
        bridge.prepareInput(volume, tmp_path / "i.nrrd", roi=add_roi(np.zeros(3), (5, 5, 5)))
    assert caught.value.code == "input.roi"


def test_a_result_on_another_grid_is_refused(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    moved = oblique()
    moved[0, 3] += 0.01
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(moved))
    bridge.prepareInput(volume, tmp_path / "input.nrrd")
    segment_stand_in(tmp_path)
    with pytest.raises(GeometryError):
        bridge.readLabels(tmp_path / "result.nrrd", prepared)
