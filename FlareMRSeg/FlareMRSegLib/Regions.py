"""A box around a whole volume, from which the user drags the sides to the organs."""

from typing import Any

import slicer

from FlareMRSegLib.Translation import tr as _

BOX_COLOR = (1.0, 0.8, 0.2)


def addVolumeRegion(volumeNode: Any) -> Any:
    """A new ROI node around `volumeNode` in world coordinates, with handles."""
    scene = slicer.mrmlScene
    bounds = [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    low, high = bounds[0::2], bounds[1::2]
    name = scene.GenerateUniqueName(_("{name} region").format(name=volumeNode.GetName()))
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    box.SetCenter([(a + b) / 2 for a, b in zip(low, high, strict=True)])
    box.SetSize([b - a for a, b in zip(low, high, strict=True)])
    box.CreateDefaultDisplayNodes()
    display = box.GetDisplayNode()
    display.SetColor(*BOX_COLOR)
    display.SetSelectedColor(*BOX_COLOR)
    display.SetFillVisibility(False)
    return box
