"""Nodes that one panel has loaded and may remove: others never get them by their file."""

from pathlib import Path
from typing import Any

import slicer

from FlareMRTrainLib.TrainScene import FILE_ATTRIBUTE, addLabels, addVolume, nodeOfFile


class OwnNodes:
    """Loads files as nodes, and removes those again that were not in the scene before."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def addVolume(self, path: Path, name: str) -> Any:
        """The volume in the file as a node.

        Raises:
            FlareMRError: the file cannot be read.
        """
        known = nodeOfFile(path, "vtkMRMLScalarVolumeNode")
        return known or self._own(addVolume(path, name))

    def addLabels(self, path: Path, name: str, volumeNode: Any) -> Any:
        """The label map in the file as a segmentation over `volumeNode`.

        Raises:
            FlareMRError: the file cannot be read.
        """
        known = nodeOfFile(path, "vtkMRMLSegmentationNode")
        return known or self._own(addLabels(path, name, volumeNode))

    def remove(self) -> None:
        """Remove what was loaded here and is still in the scene."""
        for nodeId in self._ids:
            node = slicer.mrmlScene.GetNodeByID(nodeId)
            if node is not None:
                for index in range(node.GetNumberOfDisplayNodes()):
                    slicer.mrmlScene.RemoveNode(node.GetNthDisplayNode(index))
                slicer.mrmlScene.RemoveNode(node)
        self._ids.clear()

    def _own(self, node: Any) -> Any:
        node.RemoveAttribute(FILE_ATTRIBUTE)
        self._ids.append(node.GetID())
        return node
