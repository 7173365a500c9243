"""4-D images: the frames of a sequence, and segmentations that follow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slicer

from FlareMRSegLib.Translation import tr as _


@dataclass(frozen=True, eq=False)
class Frames:
    """The sequence that a volume node shows.

    Attributes:
        browserNode: its browser.
        sequenceNode: holds the volumes.
        current: number of the frame shown, from 0.
    """

    browserNode: Any
    sequenceNode: Any
    current: int

    def __len__(self) -> int:
        return int(self.sequenceNode.GetNumberOfDataNodes())

    def volume(self, number: int) -> Any:
        """The volume of a frame; it lies outside of the scene and under no transform."""
        return self.sequenceNode.GetNthDataNode(number)


def framesOf(volumeNode: Any) -> Frames | None:
    """The frames of which `volumeNode` shows one; None if it is no part of a sequence."""
    scene = volumeNode.GetScene() if volumeNode is not None else None
    if scene is None:
        return None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetSequenceNode(volumeNode)
        if sequence is not None and sequence.GetNumberOfDataNodes() > 0:
            return Frames(browser, sequence, max(0, browser.GetSelectedItemNumber()))
    return None


def addSegmentationSequence(frames: Frames, segmentationNode: Any, contents: Sequence[Any]) -> Any:
    """A sequence that makes `segmentationNode` show one of `contents` for each frame.

    Args:
        frames: the input.
        segmentationNode: node in the scene that follows the browser.
        contents: a segmentation node for each frame, in order; they are copied.
    """
    scene = segmentationNode.GetScene()
    name = _("{name} sequence").format(name=segmentationNode.GetName())
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(name))
    source = frames.sequenceNode
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    for number, content in enumerate(contents):
        sequence.SetDataNodeAtValue(content, source.GetNthIndexValue(number))
    browser = frames.browserNode
    browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(segmentationNode, sequence, False)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return sequence
