"""MrmlBridge on real MRML: what goes out, and where the result comes back to."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
import vtk  # noqa: E402
from FlareMRSegLib.MrmlBridge import MrmlBridge, segmentIdsByOrgan  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, segmentLabels, worldMatrix  # noqa: E402
from FlareMRSegLib.Options import SegmentationOptions  # noqa: E402
from FlareMRSegLib.Terminology import entryOf, organOfSegment  # noqa: E402

from FlareMRCore.data.label_io import write_label_map  # noqa: E402
from FlareMRCore.data.labels import organ_table  # noqa: E402
from FlareMRCore.data.volume import LabelMap  # noqa: E402
from FlareMRCore.data.volume_io import read_with_warnings  # noqa: E402
from FlareMRCore.errors import GeometryError, InputError  # noqa: E402

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


def test_names_colors_terminology_and_roles(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    node, _made, _prepared = round_trip(bridge, volume, tmp_path)
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == len(organ_table())
    for number, label in enumerate(organ_table()):
        segment = segmentation.GetNthSegment(number)
        assert segmentation.GetNthSegmentID(number) == label.id
        assert segment.GetName() == label.name
        assert np.allclose(np.array(segment.GetColor()) * 255, label.color)
        assert segment.GetLabelValue() == label.value
        assert organOfSegment(segment) == label.id
        tag = vtk.mutable("")
        assert segment.GetTag("TerminologyEntry", tag)
        assert str(tag) == entryOf(label)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume.GetID()
    assert node.GetName() == "MR  Bäuche organs"
    assert segmentation.GetSourceRepresentationName() == "Binary labelmap"
    assert node.GetDisplayNode() is not None


def test_provenance_is_kept_with_the_node(bridge: MrmlBridge, tmp_path: Path) -> None:
    node, _made, _prepared = round_trip(bridge, add_volume(oblique()), tmp_path)
    assert node.GetAttribute("FlareMR.weights") == "tiny 1"
    assert json.loads(node.GetAttribute("FlareMR.weightsSha256")) == {"a.pt": "0" * 64}
    options = SegmentationOptions.fromJson(node.GetAttribute("FlareMR.options"))
    assert options == SegmentationOptions()
    assert bridge.recordOf(node) == RECORD


def test_a_second_run_replaces_organs_and_nothing_else(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    node, _made, prepared = round_trip(bridge, volume, tmp_path)
    segmentation = node.GetSegmentation()
    mine = segmentation.AddEmptySegment("mine", "my tumor")
    segmentation.GetSegment("liver").SetName("Leber")
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3] = organ_table().by_id("liver").value
    liver = SegmentationOptions(organs=("liver",))
    bridge.addResult(labels, prepared, options=liver, record=RECORD, segmentationNode=node)
    assert segmentation.GetNumberOfSegments() == len(organ_table()) + 1
    assert segmentation.GetSegment(mine).GetName() == "my tumor"
    assert segmentation.GetSegment("liver").GetName() == "Leber"
    voxels, _matrix = segmentLabels(node, "liver")
    assert voxels.sum() == 2 * SHAPE[1] * SHAPE[2]
    voxels, _matrix = segmentLabels(node, "left_kidney")
    assert voxels.sum() == 5, "an organ that was not asked for keeps its voxels"


def test_an_output_under_another_transform_is_refused(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    node, _made, prepared = round_trip(bridge, volume, tmp_path)
    node.SetAndObserveTransformNodeID(add_transform(small_rotation()).GetID())
    assert "transform" in bridge.outputProblem(node, volume)
    with pytest.raises(InputError) as caught:
        bridge.addResult(
            np.zeros(SHAPE, np.uint8),
            prepared,
            options=SegmentationOptions(),
            record=RECORD,
            segmentationNode=node,
        )
    assert caught.value.code == "output.other-transform"


def test_the_input_may_vanish_while_the_engine_works(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    slicer.mrmlScene.Clear(True)
    with pytest.raises(InputError) as caught:
        bridge.addResult(
            np.zeros(SHAPE, np.uint8), prepared, options=SegmentationOptions(), record=RECORD
        )
    assert caught.value.code == "input.removed"


def test_undo_takes_the_whole_result_away(bridge: MrmlBridge, tmp_path: Path) -> None:
    scene = bridge.scene
    volume = add_volume(oblique())
    scene.SetUndoOn()
    try:
        node, _made, _prepared = round_trip(bridge, volume, tmp_path)
        assert node.GetUndoEnabled()
        assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
        scene.Undo()
        assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
        assert scene.GetNodeByID(volume.GetID()) is not None
    finally:
        scene.SetUndoOff()


def test_undo_brings_back_what_a_second_run_replaced(bridge: MrmlBridge, tmp_path: Path) -> None:
    scene = bridge.scene
    node, _made, prepared = round_trip(bridge, add_volume(oblique()), tmp_path)
    before = world_points(node, "liver")
    scene.SetUndoOn()
    try:
        options = SegmentationOptions()
        empty = np.zeros(SHAPE, np.uint8)
        bridge.addResult(empty, prepared, options=options, record=RECORD, segmentationNode=node)
        assert segmentLabels(node, "liver")[0].sum() == 0
        scene.Undo()
        assert np.array_equal(world_points(scene.GetNodeByID(node.GetID()), "liver"), before)
    finally:
        scene.SetUndoOff()


def test_the_result_goes_below_the_input_in_the_hierarchy(
    bridge: MrmlBridge, tmp_path: Path
) -> None:
    volume = add_volume(oblique())
    node, _made, prepared = round_trip(bridge, volume, tmp_path)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(bridge.scene)
    # Plugins make these in the application.
    top = hierarchy.GetSceneItemID()
    parent, item = (hierarchy.CreateItem(top, n) for n in (volume, node))
    labels = np.zeros(SHAPE, np.uint8)
    options = SegmentationOptions()
    bridge.addResult(labels, prepared, options=options, record=RECORD, segmentationNode=node)
    assert hierarchy.GetItemParent(item) == parent


def test_inputs_that_cannot_be_segmented_say_why(bridge: MrmlBridge, scene: Any) -> None:
    assert bridge.inputProblem(None)
    assert "empty" in bridge.inputProblem(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
    assert "label map" in bridge.inputProblem(scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode"))
    flat = slicer.util.addVolumeFromArray(np.zeros((1, 4, 5), np.int16), ijkToRAS=np.eye(4))
    assert "slice" in bridge.inputProblem(flat)
    assert bridge.inputProblem(add_volume(oblique())) == ""


def test_surfaces_are_made_and_smoothed(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = slicer.util.addVolumeFromArray(
        np.zeros((20, 20, 20), np.int16), ijkToRAS=np.diag([2.0, 2.0, 2.0, 1.0])
    )
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = organ_table().by_id("liver").value
    node = bridge.addResult(labels, prepared, options=SegmentationOptions(), record=RECORD)
    volumes = []
    for smoothing in (0.0, 1.0):
        bridge.show3d(node, visible=True, smoothing=smoothing)
        surface = vtk.vtkPolyData()
        assert node.GetClosedSurfaceRepresentation("liver", surface)
        properties = vtk.vtkMassProperties()
        properties.SetInputData(surface)
        volumes.append(properties.GetVolume())
    assert volumes[0] == pytest.approx(20.0**3, rel=0.15)
    assert volumes[1] < volumes[0]
    assert node.GetDisplayNode().GetVisibility3D()
    bridge.show3d(node, visible=False)
    assert not node.GetDisplayNode().GetVisibility3D()


def test_the_place_to_review_lies_in_the_organ(bridge: MrmlBridge, tmp_path: Path) -> None:
    volume = add_volume(oblique())
    volume.SetAndObserveTransformNodeID(add_transform(small_rotation()).GetID())
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    labels = np.zeros(SHAPE, np.uint8)
    liver = organ_table().by_id("liver").value
    labels[2:4, 2:5, 1:4] = liver
    labels[3, 1:6, 1:6] = liver
    node = bridge.addResult(labels, prepared, options=SegmentationOptions(), record=RECORD)
    position = bridge.reviewPosition(node, "liver")
    assert position is not None
    to_voxel = np.linalg.inv(worldMatrix(volume) @ ijkToRas(volume))
    i, j, k = (to_voxel @ (*position, 1))[:3].round(6)
    assert k == 3, "the slice in which it is largest"
    assert labels[int(k), int(j), int(i)] == liver
    assert bridge.reviewPosition(node, "spleen") is None
    labels[-1, 0, 0] = liver
    bridge.addResult(
        labels, prepared, options=SegmentationOptions(), record=RECORD, segmentationNode=node
    )
    position = bridge.reviewPosition(node, "liver")
    assert (to_voxel @ (*position, 1))[2].round(6) == SHAPE[0] - 1, "the slice at the border"


def test_the_box_around_a_result_contains_it_and_no_more(
    bridge: MrmlBridge, tmp_path: Path
) -> None:
    volume = add_volume(oblique())
    volume.SetAndObserveTransformNodeID(add_transform(small_rotation()).GetID())
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:5, 3:7] = organ_table().by_id("liver").value
    node = bridge.addResult(labels, prepared, options=SegmentationOptions(), record=RECORD)
    roi = bridge.roiAroundResult(node, 0.0)
    again = bridge.prepareInput(volume, tmp_path / "again.nrrd", roi=roi)
    assert (again.start, again.fileShape) == ((1, 2, 3), (3, 3, 4))
    assert bridge.roiAroundResult(slicer.mrmlScene.AddNewNodeByClass(node.GetClassName())) is None
