"""The cases under review as nodes: an image, and labels that the user may change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer
from FlareMRSegLib.MrmlBridge import segmentIdsByOrgan
from FlareMRSegLib.SegmentationExport import exportSegmentation
from FlareMRSegLib.SegmentEditing import openSegmentEditor
from FlareMRSegLib.Terminology import entryOf
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.segment_fields import LABEL_TAG
from FlareMRTrainLib.OwnNodes import OwnNodes
from FlareMRTrainLib.TrainScene import showInSlices


class ReviewScene:
    """Holds the nodes of each case until they are released; what was changed by hand stays."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[OwnNodes, str, str]] = {}

    def show(self, item: Mapping[str, Any]) -> Any:
        """Show a line of the queue alone, loaded if needed; the segmentation node.

        Every organ has a segment, so that those that are missing can be painted. A corrected
        label map is shown in place of the pseudo-label.

        Raises:
            FlareMRError: a file cannot be read.
        """
        case = str(item["case"])
        if self.segmentation(case) is None:
            self._load(case, Path(item["image"]), Path(item["corrected"] or item["labels"]))
        for other in self._cases:
            node = self.segmentation(other)
            if node is not None:
                node.GetDisplayNode().SetVisibility(other == case)
        showInSlices(self.image(case))
        return self.segmentation(case)

    def segmentation(self, case: str) -> Any:
        """The labels of a case that was shown; None if they are not in the scene."""
        return self._node(case, 2)

    def image(self, case: str) -> Any:
        """The image of a case that was shown; None if it is not in the scene."""
        return self._node(case, 1)

    def edit(self, case: str) -> None:
        """Open the labels of a case that was shown in the Segment Editor."""
        openSegmentEditor(self.segmentation(case), self.image(case))

    def export(self, case: str, path: Path) -> Path:
        """Write the labels of a case as they are now, on the grid of its image.

        Raises:
            FlareMRError: no segment is left, or the file cannot be written.
        """
        return exportSegmentation(self.segmentation(case), path)[0]

    def release(self, case: str) -> None:
        """Remove the nodes of a case from the scene."""
        if case in self._cases:
            self._cases.pop(case)[0].remove()

    def forget(self) -> None:
        """Leave all nodes to the user."""
        self._cases.clear()

    def _load(self, case: str, image: Path, labels: Path) -> None:
        nodes = OwnNodes()
        volume = nodes.addVolume(image, case)
        node = nodes.addLabels(labels, _("{name} labels").format(name=case), volume)
        addMissingOrgans(node)
        self._cases[case] = (nodes, volume.GetID(), node.GetID())

    def _node(self, case: str, which: int) -> Any:
        if case not in self._cases:
            return None
        return slicer.mrmlScene.GetNodeByID(self._cases[case][which])


def addMissingOrgans(segmentationNode: Any) -> None:
    """Give the segmentation an empty segment for each organ that it lacks."""
    segmentation = segmentationNode.GetSegmentation()
    known = segmentIdsByOrgan(segmentationNode)
    for label in organ_table():
        if label.id in known:
            continue
        color = [channel / 255 for channel in label.color]
        segmentId = segmentation.AddEmptySegment(label.id, label.name, color)
        segment = segmentation.GetSegment(segmentId)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entryOf(label))
        segment.SetTag(LABEL_TAG, label.id)
