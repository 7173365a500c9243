"""The module FlareMRTrain: its tabs, and what they show of a run."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import unittest
from typing import Any

import slicer
from driving import screenshot

TABS = ("Dataset", "Recipe", "Run", "Look", "Review", "Result")


def train_panels() -> Any:
    """The panels of FlareMRTrain, entered as by a user, in an empty scene."""
    slicer.mrmlScene.Clear()
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("FlareMRTrain")
    widget = slicer.modules.flaremrtrain.widgetRepresentation().self()
    widget.enter()
    slicer.app.processEvents()
    return widget.panels


class Train(unittest.TestCase):
    """A user who looks at every tab."""

    def setUp(self) -> None:
        self.panels = train_panels()
        self.addCleanup(self.panels.openTab, "Dataset")

    def test_every_tab_opens(self) -> None:
        for name in TABS:
            self.panels.openTab(name)
            slicer.app.processEvents()
            self.assertIs(self.panels.visiblePanel(), self.panels.panels[name])
            screenshot(f"train-{name.lower()}")
