"""The way from FlareMRSeg to the module that trains."""

from typing import Any

import slicer
import slicer.util


def offerTrainingCase(segmentationNode: Any) -> None:
    """Open FlareMRTrain where a corrected segmentation can be added to a data set."""
    representation = slicer.modules.flaremrtrain.widgetRepresentation()
    # After Reload the representation still hands out the first instance.
    widget = getattr(slicer.modules, "FlareMRTrainWidget", None) or representation.self()
    slicer.util.selectModule("FlareMRTrain")
    widget.panels.openTab("Review")
    widget.panels.panels["Review"].addCase.offer(segmentationNode)
