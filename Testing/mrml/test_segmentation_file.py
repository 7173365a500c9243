"""3D Slicer's own reader and writer take our .seg.nrrd files for what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_labels_with_warnings, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap

pytestmark = pytest.mark.mrml
slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")


@pytest.fixture
def label_map(oblique_geometry: Geometry) -> LabelMap:
    array = np.zeros(oblique_geometry.shape, np.uint8)
    array[1:3, 2:5, 3:6] = 1
    array[3, 5, 1:4] = 13
    array[0, 0, 0] = 2
    return LabelMap(array, oblique_geometry, organ_table())


def slicer_segmentation(scene: object, path: Path) -> object:
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return node


def test_slicer_reads_names_colors_terminology_voxels_and_grid(tmp_path, label_map):
    vtk = pytest.importorskip("vtk")
    from vtkmodules.util.numpy_support import vtk_to_numpy

    write_label_map(tmp_path / "case.seg.nrrd", label_map)
    scene = slicer.vtkMRMLScene()
    node = slicer_segmentation(scene, tmp_path / "case.seg.nrrd")
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 13
    assert segmentation.GetNumberOfLayers() == 1
    for label in organ_table():
        segment = segmentation.GetSegment(label.id)
        assert segment.GetName() == label.name
        assert segment.GetLabelValue() == label.value
        np.testing.assert_allclose(np.multiply(segment.GetColor(), 255), label.color, atol=0.01)
        tag = vtk.mutable("")
        assert segment.GetTag("TerminologyEntry", tag)
        assert f"~SCT^{label.type_code.value}^{label.type_code.meaning}~" in str(tag)
        image = segment.GetRepresentation("Binary labelmap")
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        np.testing.assert_array_equal(values.reshape(label_map.array.shape), label_map.array)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    found = [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]
    np.testing.assert_allclose(found, label_map.geometry.affine[:, [2, 1, 0, 3]], atol=1e-9)


def test_what_slicer_saves_is_read_back(tmp_path, label_map):
    write_label_map(tmp_path / "case.seg.nrrd", label_map)
    scene = slicer.vtkMRMLScene()
    node = slicer_segmentation(scene, tmp_path / "case.seg.nrrd")
    node.GetSegmentation().GetSegment("liver").SetName("Leber")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "edited.seg.nrrd"))
    assert storage.WriteData(node) == 1
    result = read_labels_with_warnings(tmp_path / "edited.seg.nrrd")
    assert result.warnings == ()
    found, expected = result.label_map, label_map
    for value in (1, 2, 13):
        index = np.argwhere(found.array == value).astype(float)
        wanted = np.argwhere(expected.array == value).astype(float)
        np.testing.assert_allclose(
            found.geometry.index_to_world(index),
            expected.geometry.index_to_world(wanted),
            atol=1e-6,
        )
