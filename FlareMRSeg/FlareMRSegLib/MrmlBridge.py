"""Between volume nodes and image files: the only place that knows MRML's geometry.

A volume is written with its own IJK to RAS matrix, without what a parent transform adds, and the
labels come back onto the very same grid under the same transform. Two exceptions, both told in
`PreparedInput.notes`: what a non-linear transform bends is hardened in a copy, and what a linear
one turns by so much that the axes change their names is written as it lies in the world, because
the networks know left from right by the axes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util

from FlareMRCore import __version__
from FlareMRCore.data.label_io import read_labels_with_warnings
from FlareMRCore.data.labels import Label, organ_table
from FlareMRCore.data.segment_fields import LABEL_TAG
from FlareMRCore.errors import GeometryError, InputError
from FlareMRSegLib.Grid import croppedMatrix
from FlareMRSegLib.MrmlGeometry import (
    ijkToRas,
    isUnderLinear,
    orientedImage,
    orientedMatrix,
    reviewVoxel,
    roiAround,
    roiBox,
    segmentLabels,
    worldMatrix,
)
from FlareMRSegLib.NrrdFile import writeNrrd
from FlareMRSegLib.Options import SegmentationOptions
from FlareMRSegLib.Terminology import entryOf, organOfSegment
from FlareMRSegLib.Translation import tr as _

GEOMETRY_TOLERANCE_MM = 1e-4
RECORD_ATTRIBUTE = "FlareMR.record"
BINARY_LABELMAP = "Binary labelmap"


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """What was written for the child, and where its labels belong.

    Attributes:
        volumeId: node whose grid the labels get: the input, or its hardened copy.
        fileMatrix: IJK to RAS matrix in the file.
        fileShape: voxels (K, J, I) in the file.
        start: first voxel (K, J, I) of the file in the volume; not 0 where a region was cut out.
        shape: voxels (K, J, I) of the volume.
        notes: sentences for the user about what had to be decided.
    """

    volumeId: str
    fileMatrix: np.ndarray
    fileShape: tuple[int, int, int]
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    notes: tuple[str, ...] = ()


class MrmlBridge:
    """Writes inputs and takes over results in `scene`, by default Slicer's own."""

    def __init__(self, scene: Any = None) -> None:
        self._scene = scene

    @property
    def scene(self) -> Any:
        """The scene in which nodes are made."""
        return self._scene if self._scene is not None else slicer.mrmlScene

    def inputProblem(self, volumeNode: Any) -> str:
        """Why `volumeNode` cannot be segmented, as a sentence; empty if it can."""
        if volumeNode is None:
            return _("Select an input volume.")
        if not volumeNode.IsA("vtkMRMLScalarVolumeNode") or volumeNode.IsA(
            "vtkMRMLLabelMapVolumeNode"
        ):
            return _("The input must be a scalar volume, not a label map or a color image.")
        image = volumeNode.GetImageData()
        if image is None or image.GetNumberOfPoints() == 0:
            return _("The input volume is empty.")
        if image.GetNumberOfScalarComponents() != 1:
            return _("The input has several values in each voxel; extract one of them.")
        if min(image.GetDimensions()) < 2:
            return _("The input is a single slice; a 3-D image is needed.")
        return ""

    def outputProblem(self, segmentationNode: Any, volumeNode: Any) -> str:
        """Why the result may not go into `segmentationNode`; empty if it may.

        Segments that the user made stay in place, so they must not be moved by a transform.
        """
        if segmentationNode is None or volumeNode is None:
            return ""
        isOther = segmentationNode.GetTransformNodeID() != volumeNode.GetTransformNodeID()
        if isOther and segmentationNode.GetSegmentation().GetNumberOfSegments() > 0:
            return _("The output segmentation is under another transform than the input.")
        return ""

    def prepareInput(
        self, volumeNode: Any, path: Path, *, roi: Any = None, frameNode: Any = None
    ) -> PreparedInput:
        """Write the volume, or the part of it in `roi`, to `path` (.nrrd).

        Args:
            volumeNode: input in the scene.
            path: file to write.
            roi: markups ROI node; voxels whose center lies outside of its box are left out.
            frameNode: the volume of a sequence to take instead of the one shown.

        Raises:
            InputError: the volume cannot be used, or the ROI lies outside of it.
        """
        problem = self.inputProblem(volumeNode)
        if problem:
            raise InputError(problem, code="input.node")
        notes: list[str] = []
        if not isUnderLinear(volumeNode):
            volumeNode = self._hardenedCopy(volumeNode, frameNode)
            frameNode = None
            text = _("'{name}' is a copy with the non-linear transform applied; it was segmented.")
            notes.append(text.format(name=volumeNode.GetName()))
        source = frameNode or volumeNode
        array = slicer.util.arrayFromVolume(source)
        shape = tuple(int(n) for n in array.shape)
        start, stop = (0, 0, 0), shape
        if roi is not None:
            start, stop = roiBox(roi, volumeNode, source, shape)
        matrix, turned = orientedMatrix(ijkToRas(source), worldMatrix(volumeNode))
        if turned:
            notes.append(_("The transform of the input turns it; it was read as it lies in 3-D."))
        matrix = croppedMatrix(matrix, start)
        part = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        writeNrrd(path, part, matrix)
        return PreparedInput(volumeNode.GetID(), matrix, part.shape, start, shape, tuple(notes))

    def readLabels(self, path: Path, prepared: PreparedInput) -> np.ndarray:
        """Label values on the whole grid of the volume (K, J, I); 0 outside of the region.

        Raises:
            GeometryError: the file does not lie where the input lies.
        """
        result = read_labels_with_warnings(path)
        # The core counts (k, j, i), MRML (i, j, k).
        matrix = result.grid.affine[:, [2, 1, 0, 3]]
        shape = result.label_map.array.shape
        if shape != prepared.fileShape or not np.allclose(
            matrix, prepared.fileMatrix, rtol=0, atol=GEOMETRY_TOLERANCE_MM
        ):
            raise GeometryError(
                f"The result '{path.name}' does not lie on the grid of the input: expected "
                f"{prepared.fileShape} voxels, found {shape}.",
                code="geometry.mismatch",
                hint="Please report this.",
            )
        labels = np.zeros(prepared.shape, np.uint8)
        region = tuple(
            slice(a, a + n) for a, n in zip(prepared.start, prepared.fileShape, strict=True)
        )
        labels[region] = result.label_map.array
        return labels

    def addResult(
        self,
        labels: np.ndarray,
        prepared: PreparedInput,
        *,
        options: SegmentationOptions,
        record: Mapping[str, Any],
        segmentationNode: Any = None,
    ) -> Any:
        """Put `labels` into `segmentationNode`, or into a new one, and return that.

        Segments of the wanted organs are replaced, known by identity; others stay as they are.

        Raises:
            InputError: the input was removed from the scene, or the output is elsewhere.
        """
        volumeNode = self.volumeOf(prepared)
        problem = self.outputProblem(segmentationNode, volumeNode)
        if problem:
            raise InputError(problem, code="output.other-transform")
        self._saveForUndo(segmentationNode)
        node = segmentationNode or self._newSegmentation(volumeNode)
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        role = node.GetReferenceImageGeometryReferenceRole()
        node.SetNodeReferenceID(role, volumeNode.GetID())
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        image = orientedImage(labels, ijkToRas(volumeNode))
        wanted = options.wantedOrgans()
        fillSegments(node.GetSegmentation(), image, [x for x in organ_table() if x.id in wanted])
        self._placeUnder(volumeNode, node)
        _writeProvenance(node, volumeNode, options, record)
        return node

    def addConfidence(self, path: Path, prepared: PreparedInput) -> Any:
        """A volume node with the probabilities in the file `path`, on the grid of the input."""
        from FlareMRCore.data.volume_io import read_volume

        values = np.ones(prepared.shape, np.float32)
        region = tuple(
            slice(a, a + n) for a, n in zip(prepared.start, prepared.fileShape, strict=True)
        )
        values[region] = read_volume(path).array
        volumeNode = self.volumeOf(prepared)
        name = _("{name} confidence").format(name=volumeNode.GetName())
        matrix = ijkToRas(volumeNode)
        node = self.scene.AddNewNodeByClass(
            "vtkMRMLScalarVolumeNode", self.scene.GenerateUniqueName(name)
        )
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        slicer.util.updateVolumeFromArray(node, values)
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        return node

    def volumeOf(self, prepared: PreparedInput) -> Any:
        """The node that was prepared.

        Raises:
            InputError: it is no longer in the scene.
        """
        node = self.scene.GetNodeByID(prepared.volumeId)
        if node is None:
            raise InputError(
                _("The input volume was removed while it was being segmented."),
                code="input.removed",
            )
        return node

    def show3d(self, segmentationNode: Any, *, visible: bool, smoothing: float = 0.5) -> None:
        """Show the segments as surfaces, smoothed by 0 to 1, or hide them."""
        segmentation = segmentationNode.GetSegmentation()
        rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
        name, value = rule.GetSmoothingFactorParameterName(), str(float(smoothing))
        if visible:
            if segmentation.GetConversionParameter(name) != value:
                segmentation.SetConversionParameter(name, value)
                segmentationNode.RemoveClosedSurfaceRepresentation()
            segmentationNode.CreateClosedSurfaceRepresentation()
        segmentationNode.CreateDefaultDisplayNodes()
        segmentationNode.GetDisplayNode().SetVisibility3D(visible)

    def reviewPosition(self, segmentationNode: Any, organId: str) -> tuple[float, ...] | None:
        """World position (RAS mm) inside the organ to look at, where it is most doubtful.

        That is its slice at the border of the image if it reaches that, else the slice in which
        it is largest. None if the segmentation does not have the organ.
        """
        segmentId = segmentIdsByOrgan(segmentationNode).get(organId)
        if segmentId is None:
            return None
        labels, matrix = segmentLabels(segmentationNode, segmentId)
        voxel = reviewVoxel(labels)
        if voxel is None:
            return None
        point = worldMatrix(segmentationNode) @ matrix @ (*reversed(voxel), 1)
        return tuple(float(x) for x in point[:3])

    def roiAroundResult(self, segmentationNode: Any, marginMm: float = 20.0) -> Any:
        """A new, editable ROI around all organs of the result; None if there are none.

        It is turned like the grid of the segmentation and lies under the same transform.
        """
        name = _("{name} region").format(name=segmentationNode.GetName())
        ids = list(segmentIdsByOrgan(segmentationNode).values())
        return roiAround(self.scene, segmentationNode, ids, name=name, marginMm=marginMm)

    def recordOf(self, segmentationNode: Any) -> dict[str, Any] | None:
        """What the engine told about the run that made `segmentationNode`; None if unknown."""
        text = segmentationNode.GetAttribute(RECORD_ATTRIBUTE) if segmentationNode else None
        return json.loads(text) if text else None

    def _newSegmentation(self, volumeNode: Any) -> Any:
        name = _("{name} organs").format(name=volumeNode.GetName())
        node = self.scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", self.scene.GenerateUniqueName(name)
        )
        node.SetUndoEnabled(True)
        node.CreateDefaultDisplayNodes()
        return node

    def _saveForUndo(self, segmentationNode: Any) -> None:
        if segmentationNode is not None:
            segmentationNode.SetUndoEnabled(True)
        if self.scene.GetUndoFlag():
            self.scene.SaveStateForUndo()

    def _hardenedCopy(self, volumeNode: Any, frameNode: Any) -> Any:
        name = _("{name} hardened").format(name=volumeNode.GetName())
        copy = slicer.vtkSlicerVolumesLogic.CloneVolume(
            self.scene, frameNode or volumeNode, self.scene.GenerateUniqueName(name)
        )
        copy.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        copy.HardenTransform()
        copy.SetAndObserveTransformNodeID(None)
        return copy

    def _placeUnder(self, volumeNode: Any, segmentationNode: Any) -> None:
        """In the subject hierarchy, where there are plugins that keep one."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        parent = hierarchy.GetItemByDataNode(volumeNode) if hierarchy else 0
        item = hierarchy.GetItemByDataNode(segmentationNode) if hierarchy else 0
        if parent and item:
            hierarchy.SetItemParent(item, parent)


def segmentIdsByOrgan(segmentationNode: Any) -> dict[str, str]:
    """Identifier of the first segment of each organ that the segmentation has."""
    segmentation = segmentationNode.GetSegmentation()
    found: dict[str, str] = {}
    for number in range(segmentation.GetNumberOfSegments()):
        organ = organOfSegment(segmentation.GetNthSegment(number))
        if organ:
            found.setdefault(organ, segmentation.GetNthSegmentID(number))
    return found


def fillSegments(segmentation: Any, image: Any, labels: Sequence[Label]) -> None:
    """Replace the segments of `labels`, which share `image`; names and colors users gave stay."""
    if segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        segmentation.CreateRepresentation(BINARY_LABELMAP)
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    segmentIds: dict[str, list[str]] = {}
    for number in range(segmentation.GetNumberOfSegments()):
        organ = organOfSegment(segmentation.GetNthSegment(number))
        segmentIds.setdefault(organ, []).append(segmentation.GetNthSegmentID(number))
    for label in labels:
        segment = slicer.vtkSegment()
        segment.SetName(label.name)
        segment.SetColor(*(channel / 255 for channel in label.color))
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entryOf(label))
        segment.SetTag(LABEL_TAG, label.id)
        old = segmentIds.get(label.id, [])
        if old:
            previous = segmentation.GetSegment(old[0])
            segment.SetName(previous.GetName())
            segment.SetColor(previous.GetColor())
        for segmentId in old:
            segmentation.RemoveSegment(segmentId)
        segment.SetLabelValue(label.value)
        segment.AddRepresentation(BINARY_LABELMAP, image)
        segmentation.AddSegment(segment, old[0] if old else label.id)


def _writeProvenance(
    node: Any, volumeNode: Any, options: SegmentationOptions, record: Mapping[str, Any]
) -> None:
    report = record.get("report", {})
    facts = {
        "FlareMR.version": __version__,
        "FlareMR.weights": f"{report.get('weights_id', '')} {report.get('weights_version', '')}",
        "FlareMR.weightsSha256": json.dumps(report.get("weights_sha256", {}), sort_keys=True),
        "FlareMR.options": options.toJson(),
        "FlareMR.seconds": json.dumps(report.get("seconds", {})),
        "FlareMR.finished": str(record.get("finished", "")),
        "FlareMR.input": volumeNode.GetName(),
        RECORD_ATTRIBUTE: json.dumps(record),
    }
    for name, value in facts.items():
        node.SetAttribute(name, value.strip())
