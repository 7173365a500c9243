"""MrmlBridge on real MRML: what the result in the scene is and knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
import vtk  # noqa: E402
from FlareMRSegLib.MrmlBridge import MrmlBridge  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, segmentLabels, worldMatrix  # noqa: E402
from FlareMRSegLib.Options import SegmentationOptions  # noqa: E402
from FlareMRSegLib.Terminology import entryOf, organOfSegment  # noqa: E402

from FlareMRCore.data.labels import organ_table  # noqa: E402
from FlareMRCore.errors import InputError  # noqa: E402
from Testing.mrml.bridge_scene import (  # noqa: E402
    RECORD,
    SHAPE,
    add_transform,
    add_volume,
    oblique,
    round_trip,
    small_rotation,
    world_points,
)


@pytest.fixture
def bridge(scene: Any) -> MrmlBridge:
    return MrmlBridge(scene)


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
