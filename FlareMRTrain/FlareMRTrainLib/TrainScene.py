"""Images and label maps of runs and data sets as nodes of the scene, and back to files.

Files are read as the engine reads them, so that what is shown is what networks get.
"""

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from FlareMRSegLib.MrmlBridge import fillSegments
from FlareMRSegLib.MrmlGeometry import orientedImage

from FlareMRCore.data.label_io import read_labels_with_warnings
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume_io import read_volume

FILE_ATTRIBUTE = "FlareMR.file"
"""Attribute of nodes that were read from a file; a file is not read twice."""


def nodeOfFile(path: Path, className: str) -> Any:
    """The node of this class that shows the file; None if there is none."""
    for node in slicer.util.getNodesByClass(className):
        if node.GetAttribute(FILE_ATTRIBUTE) == str(path):
            return node
    return None


def addVolume(path: Path, name: str) -> Any:
    """The volume in the file as a node; the one that shows it already, if there is one.

    Raises:
        FlareMRError: the file cannot be read.
    """
    found = nodeOfFile(path, "vtkMRMLScalarVolumeNode")
    if found is not None:
        return found
    volume = read_volume(path)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkMatrix(volume.geometry.affine)))
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.CreateDefaultDisplayNodes()
    node.SetAttribute(FILE_ATTRIBUTE, str(path))
    return node


def addLabels(path: Path, name: str, volumeNode: Any) -> Any:
    """The label map in the file as a segmentation of the organs that occur, over `volumeNode`.

    Raises:
        FlareMRError: the file cannot be read.
    """
    found = nodeOfFile(path, "vtkMRMLSegmentationNode")
    if found is not None:
        return found
    result = read_labels_with_warnings(path)
    labels = result.label_map.array
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    role = node.GetReferenceImageGeometryReferenceRole()
    node.SetNodeReferenceID(role, volumeNode.GetID())
    present = set(np.unique(labels).tolist())
    image = orientedImage(labels, ijkMatrix(result.grid.affine))
    organs = [label for label in organ_table() if label.value in present]
    fillSegments(node.GetSegmentation(), image, organs)
    node.SetAttribute(FILE_ATTRIBUTE, str(path))
    return node


def showInSlices(volumeNode: Any, foregroundNode: Any = None, opacity: float = 0.0) -> None:
    """Show a volume, and another one over it, in all slice views."""
    slicer.util.setSliceViewerLayers(
        background=volumeNode, foreground=foregroundNode, foregroundOpacity=opacity, fit=True
    )


def ijkMatrix(affine: np.ndarray) -> np.ndarray:
    """MRML's IJK to RAS matrix: the core counts (k, j, i), MRML (i, j, k)."""
    return np.asarray(affine[:, [2, 1, 0, 3]])
