"""Opens Slicer's Segment Editor."""

from typing import Any

import slicer


def openSegmentEditor(segmentationNode: Any, volumeNode: Any) -> None:
    """Switch to the Segment Editor with a segmentation and the image it lies on."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentationNode)
    editor.setSourceVolumeNode(volumeNode)
