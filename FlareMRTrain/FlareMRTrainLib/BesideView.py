"""Two images beside each other, in axial slices that move together."""

from typing import Any

import slicer

VIEWS = ("Red", "Yellow")


class BesideView:
    """Changes the layout while two images are shown beside each other, and back again."""

    def __init__(self) -> None:
        self._before: tuple[int, dict[str, str]] | None = None

    def show(self, first: Any, second: Any) -> None:
        """Show `first` in the left view and `second` in the right one."""
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None:
            if self._before is None:
                turned = {view: node.GetOrientation() for view, node in self._slices().items()}
                self._before = (layout.GetViewArrangement(), turned)
            layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
        for node in self._slices().values():
            node.SetOrientation("Axial")
        volumes = dict(zip(VIEWS, (first, second), strict=True))
        for view, node in self._composites().items():
            node.SetLinkedControl(True)
            node.SetForegroundVolumeID(None)
            node.SetBackgroundVolumeID(volumes[view].GetID())

    def end(self) -> None:
        """Show the layout as it was before."""
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if self._before is None or layout is None:
            return
        arrangement, turned = self._before
        self._before = None
        for view, node in self._slices().items():
            if view in turned:
                node.SetOrientation(turned[view])
        layout.SetViewArrangement(arrangement)

    def _slices(self) -> dict[str, Any]:
        return _byLayoutName("vtkMRMLSliceNode")

    def _composites(self) -> dict[str, Any]:
        return _byLayoutName("vtkMRMLSliceCompositeNode")


def _byLayoutName(className: str) -> dict[str, Any]:
    """Nodes of the two views by the name of their view."""
    nodes = slicer.util.getNodesByClass(className)
    return {node.GetLayoutName(): node for node in nodes if node.GetLayoutName() in VIEWS}
