"""Results as files on real MRML: what is written can be read again and lies where it lay."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
import slicer.util as slicer_util  # noqa: E402
import vtk  # noqa: E402
from FlareMRSegLib.MrmlBridge import MrmlBridge, segmentIdsByOrgan  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, segmentLabels  # noqa: E402
from FlareMRSegLib.Options import SegmentationOptions  # noqa: E402
from FlareMRSegLib.SegmentationExport import (  # noqa: E402
    canExportDicom,
    exportDicom,
    exportSegmentation,
    exportSurfaces,
    organLabels,
)
from FlareMRSegLib.Terminology import FILE_NAME, organOfSegment, termText  # noqa: E402

from FlareMRCore.data.label_io import read_labels_with_warnings  # noqa: E402
from FlareMRCore.data.labels import organ_table  # noqa: E402
from FlareMRCore.errors import InputError, UsageError  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPE = (10, 12, 14)
RECORD: dict[str, Any] = {"report": {}, "warnings": [], "organs": [], "text": 'a;b:c "d" & <e> π'}


def grid() -> np.ndarray:
    """An oblique grid with flipped axes (IJK to RAS)."""
    a = np.radians(12.0)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-1.5, -2.0, 3.5])
    matrix[:3, 3] = (11.5, -22.25, 33.0)
    return matrix


def some_labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:6, 3:9, 3:9] = organ_table().by_id("liver").value
    labels[7:9, 2:5, 2:5] = organ_table().by_id("inferior_vena_cava").value
    labels[6:9, 8:11, 8:12] = organ_table().by_id("left_kidney").value
    return labels


@pytest.fixture
def segmentation_node(scene: Any, tmp_path: Path) -> Any:
    bridge = MrmlBridge(scene)
    array = np.zeros(SHAPE, np.int16)
    volume = slicer_util.addVolumeFromArray(array, ijkToRAS=grid(), name="MR")
    prepared = bridge.prepareInput(volume, tmp_path / "input.nrrd")
    options = SegmentationOptions()
    return bridge.addResult(some_labels(), prepared, options=options, record=RECORD)


def organ_arrays(node: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        organ: segmentLabels(node, segment_id)
        for organ, segment_id in segmentIdsByOrgan(node).items()
    }


def world_points(voxels: np.ndarray, matrix: np.ndarray) -> list[tuple[float, ...]]:
    ijk = np.argwhere(voxels)[:, ::-1]
    points = np.c_[ijk, np.ones(len(ijk))] @ matrix.T
    return sorted(map(tuple, points[:, :3].round(4).tolist()))


def assert_same_segments(one: Any, other: Any) -> None:
    first, second = organ_arrays(one), organ_arrays(other)
    assert list(first) == list(second)
    for organ, (voxels, matrix) in first.items():
        assert world_points(voxels, matrix) == world_points(*second[organ])
    for number in range(one.GetSegmentation().GetNumberOfSegments()):
        a = one.GetSegmentation().GetNthSegment(number)
        b = other.GetSegmentation().GetNthSegment(number)
        assert (a.GetName(), a.GetLabelValue()) == (b.GetName(), b.GetLabelValue())
        assert np.allclose(a.GetColor(), b.GetColor(), atol=1e-4)
        assert organOfSegment(a) == organOfSegment(b) != ""
        assert tag_of(a, "TerminologyEntry") == tag_of(b, "TerminologyEntry")


def tag_of(segment: Any, name: str) -> str:
    value = vtk.mutable("")
    assert segment.GetTag(name, value)
    return str(value)


def test_seg_nrrd_comes_back_the_same(segmentation_node: Any, tmp_path: Path) -> None:
    path = tmp_path / "Läbel map.seg.nrrd"
    assert exportSegmentation(segmentation_node, path) == (path,)
    scene = slicer.mrmlScene
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    again = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(again)
    assert_same_segments(segmentation_node, again)


def test_the_core_reads_what_slicer_writes(segmentation_node: Any, tmp_path: Path) -> None:
    path = tmp_path / "result.seg.nrrd"
    exportSegmentation(segmentation_node, path)
    read = read_labels_with_warnings(path)
    assert read.warnings == ()
    ours = organ_arrays(segmentation_node)
    for label in organ_table():
        matrix = read.grid.affine[:, [2, 1, 0, 3]]
        found = world_points(read.label_map.array == label.value, matrix)
        assert found == world_points(*ours[label.id])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_label_maps_have_flare_numbers_on_the_grid_of_the_input(
    segmentation_node: Any, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"labels{suffix}"
    files = exportSegmentation(segmentation_node, path)
    assert files[0] == path
    read = read_labels_with_warnings(path)
    assert np.array_equal(read.label_map.array, some_labels())
    assert np.allclose(read.grid.affine[:, [2, 1, 0, 3]], grid(), atol=1e-5)


def test_labels_keep_their_identity_in_any_order_and_under_any_name(
    segmentation_node: Any,
) -> None:
    segmentation = segmentation_node.GetSegmentation()
    segmentation.SetSegmentIndex("left_kidney", 0)
    segmentation.GetSegment("liver").SetName("Leber")
    segmentation.AddEmptySegment("mine", "my own")
    labels, matrix = organLabels(segmentation_node)
    assert np.array_equal(labels, some_labels())
    assert np.allclose(matrix, grid())


def test_export_leaves_no_nodes_behind(segmentation_node: Any, tmp_path: Path) -> None:
    scene = slicer.mrmlScene
    before = {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}
    exportSegmentation(segmentation_node, tmp_path / "a.nii.gz")
    exportSegmentation(segmentation_node, tmp_path / "a.seg.nrrd")
    after = {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}
    assert after == before


def test_export_works_without_the_input(segmentation_node: Any) -> None:
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    slicer.mrmlScene.RemoveNode(segmentation_node.GetNodeReference(role))
    labels, matrix = organLabels(segmentation_node)
    assert np.array_equal(labels, some_labels())
    assert np.allclose(matrix, grid())


def test_a_segmentation_without_organs_is_refused(scene: Any) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(InputError):
        organLabels(node)


def test_surfaces_lie_where_the_organs_lie(segmentation_node: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Oberflächen"
    folder.mkdir()
    files = exportSurfaces(segmentation_node, folder)
    liver = next(path for path in files if "liver" in path.name)
    content = liver.read_bytes()
    (count,) = struct.unpack("<I", content[80:84])
    records = np.frombuffer(content, np.dtype("(4,3)<f4, <u2"), count, 84)
    points = records["f0"][:, 1:].reshape(-1, 3) * (-1, -1, 1)  # LPS; the first is the normal
    voxels, matrix = organ_arrays(segmentation_node)["liver"]
    expected = np.array(world_points(voxels, matrix))
    assert np.allclose(points.mean(axis=0), expected.mean(axis=0), atol=1.0)


def test_dicom_needs_its_extension(segmentation_node: Any, tmp_path: Path) -> None:
    if canExportDicom():
        pytest.skip("QuantitativeReporting is installed")
    with pytest.raises(UsageError, match="QuantitativeReporting"):
        exportDicom(segmentation_node, tmp_path)


def test_a_saved_scene_comes_back_the_same(segmentation_node: Any, tmp_path: Path) -> None:
    """A scene with its data files in a folder, which is what an .mrb holds."""
    scene = slicer.mrmlScene
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    volume = segmentation_node.GetNodeReference(role)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    for node in (volume, segmentation_node):
        node.SetAndObserveTransformNodeID(transform.GetID())
    save_with_data(scene, tmp_path, (volume, segmentation_node))
    other = slicer.vtkMRMLScene()
    register_nodes(other)
    other.SetURL(str(tmp_path / "scene.mrml"))
    other.SetRootDirectory(str(tmp_path))
    assert other.Connect()
    again = other.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert_same_segments(segmentation_node, again)
    assert again.GetNodeReference(role).GetName() == "MR"
    assert np.allclose(ijkToRas(again.GetNodeReference(role)), grid(), atol=1e-6)
    assert again.GetParentTransformNode().GetName() == "moved"
    assert MrmlBridge(other).recordOf(again) == RECORD
    assert SegmentationOptions.fromJson(again.GetAttribute("FlareMR.options"))


def save_with_data(scene: Any, folder: Path, nodes: tuple[Any, ...]) -> None:
    for node, suffix in zip(nodes, (".nrrd", ".seg.nrrd"), strict=True):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(folder / f"{node.GetClassName()}{suffix}"))
        assert node.GetStorageNode().WriteData(node)
    scene.SetRootDirectory(str(folder))
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Commit()


def register_nodes(scene: Any) -> None:
    """Let a scene know the node classes that modules bring."""
    for name in ("Segmentation", "SegmentationDisplay", "SegmentationStorage"):
        scene.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}Node")())


def test_our_terminology_file_is_made_from_the_labels() -> None:
    path = REPOSITORY / "FlareMRSeg" / "Resources" / FILE_NAME
    assert path.read_text(encoding="utf-8") == termText()
    types = json.loads(termText())["SegmentationCodes"]["Category"][0]["Type"]
    sides = sum(len(entry.get("Modifier", [None])) for entry in types)
    assert sides == len(organ_table())


def test_slicer_takes_our_terminology(scene: Any) -> None:
    from FlareMRSegLib.Terminology import CONTEXT, registerTerminology

    assert registerTerminology()
    logic = slicer.modules.terminologies.logic()
    array = vtk.vtkStringArray()
    logic.GetLoadedTerminologyNames(array)
    names = [array.GetValue(n) for n in range(array.GetNumberOfValues())]
    assert CONTEXT in names
