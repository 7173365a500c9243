"""The way from FlareMRTrain to the module that segments."""

import slicer
import slicer.util


def chooseWeights(weightsId: str) -> None:
    """Choose installed weights in FlareMRSeg, whose list is read again, and open that module."""
    representation = slicer.modules.flaremrseg.widgetRepresentation()
    # After Reload the representation still hands out the first instance.
    widget = getattr(slicer.modules, "FlareMRSegWidget", None) or representation.self()
    widget.initializeParameterNode()
    widget.logic.getParameterNode().weights = weightsId
    widget.panels.weights.refresh()
    slicer.util.selectModule("FlareMRSeg")
