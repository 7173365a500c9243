"""What the widgets of both modules do alike; they stay shells around their panels."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import slicer
import slicer.util


def loadWidgets(widget: Any) -> Any:
    """The widgets of the module's .ui file, which is put into the module's panel."""
    uiWidget = slicer.util.loadUI(widget.resourcePath(f"UI/{widget.moduleName}.ui"))
    widget.layout.addWidget(uiWidget)
    return slicer.util.childWidgetVariables(uiWidget)


def loadParts(widget: Any, tabs: Mapping[str, Any]) -> dict[str, Any]:
    """Widgets of the .ui file of each tab, by the name of the tab.

    Args:
        widget: of the module; the files are called as the module and the tab.
        tabs: the empty widget of each tab.
    """
    parts = {}
    for name, tab in tabs.items():
        part = slicer.util.loadUI(widget.resourcePath(f"UI/{widget.moduleName}{name}.ui"))
        tab.layout().addWidget(part)
        part.setMRMLScene(slicer.mrmlScene)
        parts[name] = slicer.util.childWidgetVariables(part)
    return parts


def observe(widget: Any) -> None:
    """Tell the widget when the scene is closed or loaded, and when Slicer quits."""
    scene = slicer.mrmlScene
    widget.addObserver(scene, scene.StartCloseEvent, widget.onSceneStartClose)
    widget.addObserver(scene, scene.EndCloseEvent, widget.onSceneChanged)
    widget.addObserver(scene, scene.EndImportEvent, widget.onSceneChanged)
    slicer.app.connect("aboutToQuit()", widget.cleanup)


def letGo(widget: Any) -> None:
    """Undo `observe`, and close the panels and the logic if they are still there."""
    widget.removeObservers()
    slicer.app.disconnect("aboutToQuit()", widget.cleanup)
    if widget.panels is not None:
        widget.panels.close()
        widget.logic.close()
        widget.panels = None


def forgetPackages(packages: Iterable[str]) -> None:
    """Forget these packages, so that Reload imports them again."""
    names = set(packages)
    for name in list(sys.modules):
        if name.partition(".")[0] in names:
            del sys.modules[name]
