"""What a Slicer application sets up, for the MRML classes of the package slicer-core.

Inside a real Slicer nothing is done, so the same tests run in both. Nothing is pretended: what
needs Qt is missing here and raises AttributeError.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
import slicer.util

LOGICS = {
    "colors": "vtkSlicerColorLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "tables": "vtkSlicerTablesLogic",
    "plots": "vtkSlicerPlotsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "transforms": "vtkSlicerTransformLogic",
    "markups": "vtkSlicerMarkupsLogic",
}
"""Class of each module's logic, by the name of the module."""

RULES = (
    "vtkBinaryLabelmapToClosedSurfaceConversionRule",
    "vtkClosedSurfaceToBinaryLabelmapConversionRule",
)
"""Conversions of segments that a Qt module registers in the application."""


class Application:
    """The part of `slicer.app` that needs no Qt."""

    def __init__(self, scene: Any, logic: Any) -> None:
        self._scene = scene
        self._logic = logic

    def mrmlScene(self) -> Any:  # noqa: N802 - Slicer's name
        """The scene."""
        return self._scene

    def applicationLogic(self) -> Any:  # noqa: N802 - Slicer's name
        """The logic that knows all module logics."""
        return self._logic

    def processEvents(self) -> None:  # noqa: N802 - Slicer's name
        """There are no events without Qt."""


def bootstrap() -> Any:
    """Set up `slicer.mrmlScene`, `slicer.app` and `slicer.modules`; the scene."""
    if getattr(slicer, "app", None) is not None:
        return slicer.mrmlScene
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    modules = {}
    for name, class_name in LOGICS.items():
        modules[name] = _module(getattr(slicer, class_name)(), name, scene, application)
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in RULES:
        factory.RegisterConverterRule(getattr(slicer, rule)())
    slicer.mrmlScene = scene
    slicer.modules = SimpleNamespace(**modules)
    slicer.app = Application(scene, application)
    return scene


def _module(logic: Any, name: str, scene: Any, application: Any) -> SimpleNamespace:
    logic.SetMRMLApplicationLogic(application)
    application.SetModuleLogic(name.capitalize(), logic)
    logic.SetMRMLScene(scene)
    return SimpleNamespace(logic=lambda: logic)
