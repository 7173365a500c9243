"""The way from FlareMRTrain to the module that segments."""

import slicer
import slicer.util


def chooseWeights(weightsId: str) -> None:
    """Choose installed weights in FlareMRSeg, whose list is read again, and open that module."""
    widget = slicer.modules.flaremrseg.widgetRepresentation().self()
    widget.initializeParameterNode()
    widget.logic.getParameterNode().weights = weightsId
    widget.panels.weights.refresh()
    slicer.util.selectModule("FlareMRSeg")
