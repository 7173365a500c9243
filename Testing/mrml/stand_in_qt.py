"""Stand-ins for PythonQt, CTK and Slicer's widgets on top of PySide6, for a smoke test of panels.

They show that the panels name widgets, properties and signals that exist, and do the right things
with MRML and jobs. They do not show that the module works in Slicer: `Testing/slicer` does that.
"""

# ruff: noqa: N802, N815, N801 - Qt's and CTK's names

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import Property, Signal


class Proxy:
    """A QObject as PythonQt shows it: properties are attributes, signals are named by strings."""

    def __init__(self, thing: QtCore.QObject) -> None:
        object.__setattr__(self, "thing", thing)

    def __getattr__(self, name: str) -> Any:
        if self.thing.metaObject().indexOfProperty(name) >= 0:
            return wrapped(self.thing.property(name))
        found = getattr(self.thing, name)
        return lambda *words: wrapped(found(*map(unwrapped, words)))

    def __setattr__(self, name: str, value: Any) -> None:
        if self.thing.metaObject().indexOfProperty(name) < 0:
            raise AttributeError(f"{type(self.thing).__name__} has no property {name}")
        assert self.thing.setProperty(name, unwrapped(value)), (name, value)

    def connect(self, signal: str, slot: Callable[..., Any]) -> None:
        """Connect a signal with exactly the arguments that its signature names."""
        name, _, rest = signal.partition("(")
        types = [part for part in rest.rstrip(")").split(",") if part]
        found = getattr(self.thing, name)
        found.connect(lambda *words: slot(*map(wrapped, words[: len(types)])))


def wrapped(thing: Any) -> Any:
    """QObjects as proxies, everything else as it is."""
    return Proxy(thing) if isinstance(thing, QtCore.QObject) else thing


def unwrapped(thing: Any) -> Any:
    """What is behind a proxy."""
    return thing.thing if isinstance(thing, Proxy) else thing


class qMRMLWidget(QtWidgets.QWidget):
    mrmlSceneChanged = Signal(object)


class ctkCollapsibleButton(QtWidgets.QWidget):
    _values = ("", False)

    def _text(self) -> str:
        return self.property("heldText") or ""

    def _collapsed(self) -> bool:
        return bool(self.property("heldCollapsed"))

    text = Property(str, _text, lambda self, value: self.setProperty("heldText", value))
    collapsed = Property(
        bool, _collapsed, lambda self, value: self.setProperty("heldCollapsed", value)
    )


class ctkPathLineEdit(QtWidgets.QLineEdit):
    currentPathChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.textChanged.connect(self.currentPathChanged.emit)

    currentPath = Property(
        str, lambda self: self.text(), lambda self, value: self.setText(str(value))
    )


class ctkSliderWidget(QtWidgets.QDoubleSpinBox):
    """Only its value is used."""


class qMRMLNodeComboBox(QtWidgets.QWidget):
    currentNodeChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.node: Any = None

    def currentNode(self) -> Any:
        return self.node

    def setCurrentNode(self, node: Any) -> None:
        if node is not self.node:
            self.node = node
            self.currentNodeChanged.emit(node)


CUSTOM = (qMRMLWidget, ctkCollapsibleButton, ctkPathLineEdit, ctkSliderWidget, qMRMLNodeComboBox)


def loadUi(path: Path) -> tuple[QtWidgets.QWidget, SimpleNamespace]:
    """The widget of a .ui file, and its parts by name as slicer.util.childWidgetVariables gives."""
    loader = QtUiTools.QUiLoader()
    for kind in CUSTOM:
        loader.registerCustomWidget(kind)
    widget = loader.load(str(path))
    assert widget is not None, loader.errorString()
    named = (part for part in widget.findChildren(QtWidgets.QWidget) if part.objectName())
    return widget, SimpleNamespace(**{part.objectName(): Proxy(part) for part in named})


class SettingsStandIn:
    """Stand-in for QSettings that forgets everything with the process."""

    values: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose, as settings are

    def value(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        self.values[key] = value


def TimerStandIn() -> Proxy:
    """A QTimer as PythonQt shows it."""
    return Proxy(QtCore.QTimer())


def install() -> None:
    """Put the module `qt` and `slicer.parameterNodeWrapper` where imports find them."""
    qt = ModuleType("qt")
    for module in (QtCore, QtGui, QtWidgets):
        for name in ("Qt", "QUrl", "QBrush", "QColor", "QTableWidgetItem", "QApplication"):
            if hasattr(module, name):
                setattr(qt, name, getattr(module, name))
    qt.QSettings = SettingsStandIn  # type: ignore[attr-defined]
    qt.QTimer = TimerStandIn  # type: ignore[attr-defined]
    wrapper = ModuleType("slicer.parameterNodeWrapper")
    wrapper.WithinRange = lambda *limits: limits  # type: ignore[attr-defined]
    wrapper.parameterNodeWrapper = parameterNodeWrapper  # type: ignore[attr-defined]
    sys.modules |= {"qt": qt, "slicer.parameterNodeWrapper": wrapper}


class ParameterNodeStandIn:
    """Stand-in for what Slicer's decorator makes: fields, widgets that follow, observers."""

    defaults: dict[str, Any] = {}  # noqa: RUF012 - each wrapped class has its own

    def __init__(self) -> None:
        state = {"values": dict(self.defaults), "observers": {}, "widgets": {}}
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["values"][name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.values:
            raise AttributeError(name)
        if self.values[name] != value:
            self.values[name] = value
            self._show()
            for observer in tuple(self.observers.values()):
                observer(self, "ModifiedEvent")

    def connectParametersToGui(self, widgets: dict[str, Proxy]) -> int:
        self.__dict__["widgets"] = widgets
        self._show()
        for name, widget in widgets.items():
            self._listen(name, widget.thing)
        return 0

    def disconnectGui(self, _tag: int) -> None:
        self.__dict__["widgets"] = {}

    def AddObserver(self, _event: Any, observer: Callable[..., Any]) -> int:
        self.observers[len(self.observers) + 1] = observer
        return len(self.observers)

    def RemoveObserver(self, tag: int) -> None:
        self.observers.pop(tag, None)

    def _show(self) -> None:
        for name, widget in self.widgets.items():
            setValue(widget.thing, self.values[name])

    def _listen(self, name: str, widget: Any) -> None:
        for signal in ("toggled", "valueChanged", "currentNodeChanged"):
            if hasattr(widget, signal):
                getattr(widget, signal).connect(lambda value: setattr(self, name, value))


def parameterNodeWrapper(kind: type) -> type:
    """Stand-in for Slicer's decorator."""
    defaults = {name: getattr(kind, name, None) for name in kind.__annotations__}
    return type(kind.__name__, (ParameterNodeStandIn,), {"defaults": defaults})


def setValue(widget: Any, value: Any) -> None:
    """Show a parameter in its widget."""
    if isinstance(widget, QtWidgets.QCheckBox):
        widget.setChecked(value)
    elif isinstance(widget, qMRMLNodeComboBox):
        widget.setCurrentNode(value)
    else:
        widget.setValue(value)
