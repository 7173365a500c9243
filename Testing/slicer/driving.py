"""What the tests share: getting at the widgets, waiting, and pictures."""

# ruff: noqa: N802, N815 - a stand-in has the names of what it stands in for

from __future__ import annotations

import sys
import time
import unittest
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ctk
import slicer

SCREENSHOTS = Path()
JOB_TIMEOUT_S = 600.0
SHORT_TIMEOUT_S = 120.0


class AnswersStandIn:
    """Stand-in for Dialogs: agrees to everything and returns the paths it was given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.questions: list[str] = []

    def confirm(self, text: str) -> bool:
        """Yes."""
        self.questions.append(text)
        return True

    def openFiles(self, *_words: Any) -> list[Path]:
        """The path."""
        return [self.path] if self.path else []

    def openFile(self, *_words: Any) -> Path | None:
        """The path."""
        return self.path

    openFolder = saveFile = openFile


def widget() -> Any:
    """The module's widget, entered as by a user."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("FlareMRSeg")
    representation = slicer.modules.flaremrseg.widgetRepresentation()
    # After Reload the representation still hands out the first instance.
    found = getattr(slicer.modules, "FlareMRSegWidget", None) or representation.self()
    if slicer.util.mainWindow() is None:
        found.enter()
    slicer.app.processEvents()
    return found


def fresh_panels() -> Any:
    """The panels of an empty scene; every question is agreed to."""
    slicer.mrmlScene.Clear()
    found = widget()
    found.initializeParameterNode()
    use_dialogs(found.panels, AnswersStandIn())
    return found.panels


def use_dialogs(panels: Any, dialogs: AnswersStandIn) -> None:
    """Let a stand-in answer for the user."""
    for part in (panels.weights, panels.results, panels.batch):
        part.dialogs = dialogs


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = SHORT_TIMEOUT_S) -> None:
    """Let Slicer work until `condition` is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout_s:.0f} s in vain: {what}.")
        slicer.app.processEvents()
        time.sleep(0.02)


def wait_for_jobs(panels: Any) -> None:
    """Let Slicer work until nothing runs any more."""
    runner = panels.logic.runner
    wait_until(lambda: not runner.isRunning(), "the jobs to end", JOB_TIMEOUT_S)


@cache
def why_no_engine() -> str:
    """Why the engine cannot run here; empty if it can."""
    from FlareMRSegLib.ChosenPython import launch
    from FlareMRSegLib.Job import commandJob
    from FlareMRSegLib.JobRunner import JobRunner

    runner = JobRunner(launch)
    result = runner.wait(runner.start(commandJob("Devices", ["devices"])), SHORT_TIMEOUT_S)
    runner.close()
    if result is None:
        return "the engine did not answer"
    return "" if result.succeeded else f"{result.error.code}: {result.error.message}"


def need_engine() -> None:
    """Skip the test, saying why, where the engine cannot run."""
    if why_no_engine():
        raise unittest.SkipTest(why_no_engine())


def load_sample(panels: Any) -> Any:
    """The sample volume, selected as input, with the options that take least time."""
    panels.segment.ui.sampleButton.click()
    node = panels.segment.parameterNode
    wait_until(lambda: node.inputVolume is not None, "the sample to be made")
    node.mode, node.device = "fast", "cpu"
    button = panels.segment.ui.applyButton
    wait_until(lambda: button.enabled, "Apply to be enabled")
    return node.inputVolume


def screenshot(name: str, part: Any = None) -> None:
    """Picture of the main window, or of a widget; without a main window of that widget only."""
    target = part if part is not None else slicer.util.mainWindow()
    if target is None:
        return
    slicer.app.processEvents()
    ctk.ctkWidgetsUtils.grabWidget(target).save(str(SCREENSHOTS / f"{name}.png"))


def torch_is_outside() -> bool:
    """Whether Slicer's own process never imported torch."""
    return "torch" not in sys.modules
