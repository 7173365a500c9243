"""What both modules' widgets do alike, with stand-ins for Slicer's widgets."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
import slicer
import slicer.util


class Layout(list[Any]):
    """Stand-in for a layout: the widgets that were added."""

    addWidget = list.append  # noqa: N815 - its interface


class ApplicationStandIn:
    """Stand-in for the application's signals."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, Any]] = []

    def connect(self, signal: str, slot: Any) -> None:
        self.connected.append((signal, slot))

    def disconnect(self, signal: str, slot: Any) -> None:
        self.connected.remove((signal, slot))


@pytest.fixture
def widget(scene: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module's widget as Slicer makes it."""

    def load(path: str) -> SimpleNamespace:
        part = SimpleNamespace(path=path, scene=None)
        part.setMRMLScene = lambda scene: setattr(part, "scene", scene)
        return part

    monkeypatch.setattr(slicer, "app", ApplicationStandIn(), raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", load, raising=False)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", lambda part: part, raising=False)
    events: list[str] = []
    found = SimpleNamespace(moduleName="Some", layout=Layout(), events=events)
    found.resourcePath = lambda name: f"/{name}"
    found.onSceneStartClose = lambda *_: events.append("start of close")
    found.onSceneChanged = lambda *_: events.append("changed")
    found.cleanup = lambda: events.append("quit")
    found.observed = []
    found.addObserver = lambda node, event, call: found.observed.append(
        (node, node.AddObserver(event, call))
    )
    found.removeObservers = lambda: [node.RemoveObserver(tag) for node, tag in found.observed]
    closed = SimpleNamespace(close=lambda: events.append("closed"))
    found.panels, found.logic = closed, closed
    return found


def test_each_tab_gets_its_file_and_the_scene(widget: SimpleNamespace) -> None:
    from FlareMRSegLib.ModuleShell import loadParts, loadWidgets

    assert loadWidgets(widget).path == "/UI/Some.ui"
    tab = SimpleNamespace(content=Layout())
    tab.layout = lambda: tab.content
    parts = loadParts(widget, {"Run": tab})
    assert parts["Run"].path == "/UI/SomeRun.ui"
    assert parts["Run"].scene is slicer.mrmlScene
    assert (len(widget.layout), tab.content) == (1, [parts["Run"]])


def test_the_scene_is_watched_until_the_widget_goes(widget: SimpleNamespace) -> None:
    from FlareMRSegLib.ModuleShell import letGo, observe

    observe(widget)
    slicer.mrmlScene.Clear(True)
    assert widget.events == ["start of close", "changed"]
    assert slicer.app.connected == [("aboutToQuit()", widget.cleanup)]
    letGo(widget)
    assert (widget.panels, slicer.app.connected) == (None, [])
    slicer.mrmlScene.Clear(True)
    assert widget.events == ["start of close", "changed", "closed", "closed"]
    observe(widget)
    letGo(widget)  # a second time there is nothing to close
    assert widget.events[4:] == []


def test_reload_forgets_our_packages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from FlareMRSegLib.ModuleShell import forgetPackages

    for name in ("OursLib", "OursLib.Panel", "OursLibrary"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    forgetPackages(("OursLib",))
    assert "OursLib" not in sys.modules
    assert "OursLib.Panel" not in sys.modules
    assert "OursLibrary" in sys.modules
