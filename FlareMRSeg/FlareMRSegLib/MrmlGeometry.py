"""MRML's matrices and images as arrays, and back; used by `MrmlBridge` and its neighbors only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util import numpy_support

from FlareMRCore.errors import InputError
from FlareMRSegLib.Grid import axisNames, isOrthogonal, voxelBox
from FlareMRSegLib.Translation import tr as _


def ijkToRas(volumeNode: Any) -> np.ndarray:
    """IJK to RAS matrix of a volume, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def worldMatrix(node: Any) -> np.ndarray:
    """From the coordinates of `node` to world coordinates; its parent must be linear."""
    matrix = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def orientedImage(labels: np.ndarray, matrix: np.ndarray) -> Any:
    """`labels` (K, J, I) as vtkOrientedImageData; the pixels are copied."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*reversed(labels.shape))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    pixels[:] = labels.ravel()
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return image


def isUnderLinear(node: Any) -> bool:
    """Whether no non-linear transform lies above `node`."""
    parent = node.GetParentTransformNode()
    return parent is None or bool(parent.IsTransformToWorldLinear())


def orientedMatrix(matrix: np.ndarray, world: np.ndarray) -> tuple[np.ndarray, bool]:
    """The matrix for the file, and whether it is the one in the world instead of `matrix`.

    It is where the transform makes the axes point to other sides of the patient.
    """
    inWorld = world @ matrix
    if axisNames(matrix) == axisNames(inWorld) or not isOrthogonal(inWorld):
        return matrix, False
    return inWorld, True


def roiBox(
    roi: Any, volumeNode: Any, source: Any, shape: Sequence[int]
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel (K, J, I) of the volume inside of `roi`, and one past the last.

    Raises:
        InputError: the ROI contains fewer than two voxels along an axis.
    """
    toWorld = vtk.vtkMatrix4x4()
    toWorld.DeepCopy(roi.GetObjectToWorldMatrix())
    size = [0.0, 0.0, 0.0]
    roi.GetSizeWorld(size)
    half = np.array(size) / 2
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3, indexing="ij")).reshape(3, -1).T
    corners = np.c_[signs * half, np.ones(8)] @ slicer.util.arrayFromVTKMatrix(toWorld).T
    toVoxels = np.linalg.inv(worldMatrix(volumeNode) @ ijkToRas(source))
    box = voxelBox((corners @ toVoxels.T)[:, :3], shape)
    if box is None:
        raise InputError(
            _("The region of interest lies outside of the input volume."), code="input.roi"
        )
    return box


def segmentLabels(segmentationNode: Any, segmentId: str) -> tuple[np.ndarray, np.ndarray]:
    """The voxels of one segment (K, J, I, bool) and their IJK to RAS matrix, no transform."""
    image = slicer.vtkOrientedImageData()
    segmentationNode.GetBinaryLabelmapRepresentation(segmentId, image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    toRas = slicer.util.arrayFromVTKMatrix(matrix)
    extent = image.GetExtent()
    if image.GetNumberOfPoints() == 0:
        return np.zeros((0, 0, 0), bool), toRas
    shape = tuple(extent[n + 1] - extent[n] + 1 for n in (4, 2, 0))
    voxels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape) > 0
    toRas[:3, 3] += toRas[:3, :3] @ extent[0::2]
    return voxels, toRas


def reviewVoxel(labels: np.ndarray) -> tuple[int, int, int] | None:
    """A voxel (K, J, I) of the organ in its slice that deserves a look; None if it is empty."""
    areas = labels.sum(axis=(1, 2))
    if not areas.any():
        return None
    ends = [k for k in (0, len(areas) - 1) if areas[k]]
    k = max(ends or range(len(areas)), key=lambda n: int(areas[n]))
    rows, columns = np.nonzero(labels[k])
    # The voxel next to the middle: the middle itself may lie outside of a bent organ.
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(k), int(rows[nearest]), int(columns[nearest])


def roiAround(
    scene: Any, segmentationNode: Any, segmentIds: Sequence[str], *, name: str, marginMm: float
) -> Any:
    """A new ROI around the given segments, turned like their grid; None if all are empty."""
    corners, matrix = [], np.eye(4)
    for segmentId in segmentIds:
        labels, toRas = segmentLabels(segmentationNode, segmentId)
        if labels.any():
            matrix = toRas
            found = np.argwhere(labels)
            box = np.array([found.min(axis=0) - 0.5, found.max(axis=0) + 0.5])[:, ::-1]
            corners += [toRas[:3, :3] @ corner + toRas[:3, 3] for corner in box]
    if not corners:
        return None
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    along = np.array(corners) @ axes
    low, high = along.min(axis=0) - marginMm, along.max(axis=0) + marginMm
    toNode = np.eye(4)
    toNode[:3, :3] = axes
    toNode[:3, 3] = axes @ ((low + high) / 2)
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", scene.GenerateUniqueName(name))
    roi.CreateDefaultDisplayNodes()
    roi.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
    roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(toNode))
    roi.SetSize(*(high - low))
    return roi
