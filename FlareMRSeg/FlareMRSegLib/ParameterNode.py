"""What the user chose, as a node that is saved with the scene.

Imported when the widget is set up, not before: the markups classes exist once Slicer has loaded
its modules.
"""

from typing import Annotated

from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from FlareMRSegLib.Options import SegmentationOptions

ALL_ORGANS = "all"


@parameterNodeWrapper
class FlareMRSegParameterNode:
    """The parameters of the tab Segment.

    Attributes:
        inputVolume: the image.
        allFrames: segment each frame of the sequence that `inputVolume` shows.
        regionOfInterest: box around the organs; None to find it.
        outputSegmentation: where the result goes; None for a new node.
        organs: identifiers, separated by commas, or ``"all"``.
        mode: ``"fast"``, ``"standard"`` or ``"accurate"``.
        weights: identifier; empty for the default.
        device: ``"auto"``, ``"cpu"``, ``"cuda:N"`` or ``"mps"``.
        averagedViews: views for test-time augmentation; 0 leaves it to the mode.
        confidenceMap: also make a volume with the probability of each voxel's label.
        allowComputedTomography: go on although the image looks like CT.
        showSurfaces: show the result in 3-D.
        surfaceSmoothing: 0 to 1; 0 switches it off.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    allFrames: bool = False
    regionOfInterest: vtkMRMLMarkupsROINode
    outputSegmentation: vtkMRMLSegmentationNode
    organs: str = ALL_ORGANS
    mode: str = "standard"
    weights: str = ""
    device: str = "auto"
    averagedViews: Annotated[int, WithinRange(0, 8)] = 0
    confidenceMap: bool = False
    allowComputedTomography: bool = False
    showSurfaces: bool = True
    surfaceSmoothing: Annotated[float, WithinRange(0, 1)] = 0.5


def organsOf(parameterNode: FlareMRSegParameterNode) -> tuple[str, ...] | None:
    """Identifiers of the selected organs; None if all are."""
    if parameterNode.organs == ALL_ORGANS:
        return None
    return tuple(organ for organ in parameterNode.organs.split(",") if organ)


def optionsOf(parameterNode: FlareMRSegParameterNode) -> SegmentationOptions:
    """The options for a run."""
    return SegmentationOptions(
        mode=parameterNode.mode,
        device=parameterNode.device,
        weights=parameterNode.weights,
        organs=organsOf(parameterNode),
        tta=parameterNode.averagedViews,
        allowCt=parameterNode.allowComputedTomography,
        confidenceMap=parameterNode.confidenceMap,
        show3d=parameterNode.showSurfaces,
        smoothing=parameterNode.surfaceSmoothing,
    )
