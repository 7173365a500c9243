"""The tabs Look and Review of FlareMRTrain, on a run that was made outside of Slicer."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from driving import need_engine, screenshot, wait_until
from train_cases import train_panels

MAKE_RUN = (
    "import pathlib, sys; from Testing.core.pipeline.{module} import {name}; "
    "{name}(pathlib.Path(sys.argv[1]))"
)


def make_run(folder: Path, module: str, name: str) -> None:
    """Make a small run below `folder` with the Python of the engine."""
    from FlareMRSegLib.ChildProcess import childEnvironment
    from FlareMRSegLib.ChosenPython import chosenPython

    command = [chosenPython() or sys.executable, "-c", MAKE_RUN.format(module=module, name=name)]
    # In the source tree the folder of FlareMRCore holds the tests, too.
    done = subprocess.run(
        [*command, str(folder)], env=childEnvironment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])


class _OnRun(unittest.TestCase):
    """The panels with a run of their own."""

    def open(self, tab: str, module: str, name: str) -> Any:
        """The panel of a tab, filled from a run that is made here."""
        need_engine()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        make_run(Path(folder.name), module, name)
        self.panels = train_panels()
        node = self.panels.session.parameterNode
        before = node.storeFolder
        node.storeFolder = str(Path(folder.name) / "store")
        self.addCleanup(setattr, node, "storeFolder", before)
        self.panels.openTab(tab)
        self.panels.refresh()
        self.wait()
        return self.panels.panels[tab]

    def wait(self) -> None:
        """Let Slicer work until no command runs."""
        wait_until(lambda: not self.panels.session.isBusy(), "the commands")


class Review(_OnRun):
    """A user who rejects one pseudo-label and corrects another one."""

    def test_reject_and_correct(self) -> None:
        panel = self.open("Review", "review_cases", "run_reviewed")
        self.assertEqual(panel.ui.reviewTable.rowCount, 3)
        self.assertTrue(panel.load(0))
        rejected = str(panel.items[0]["case"])
        panel.ui.rejectReviewButton.click()
        self.wait()
        case = str(panel.current()["case"])
        self.assertNotEqual(case, rejected)
        node, image = panel.scene.segmentation(case), panel.scene.image(case)
        box = np.zeros(slicer.util.arrayFromVolume(image).shape, np.uint8)
        box[1:3, 2:5, 6:9] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(box, node, "spleen", image)
        screenshot("train-review")
        panel.ui.correctReviewButton.click()
        self.wait()
        kinds = {item["case"]: item["decision"] for item in panel.items if item["decision"]}
        self.assertEqual(kinds[rejected]["kind"], "reject")
        self.assertEqual(kinds[case]["kind"], "correct")

    def test_the_segment_editor_opens(self) -> None:
        panel = self.open("Review", "review_cases", "run_reviewed")
        panel.ui.reviewTable.selectRow(1)
        panel.edit()
        slicer.app.processEvents()
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        case = str(panel.items[1]["case"])
        self.assertEqual(editor.segmentationNode().GetID(), panel.scene.segmentation(case).GetID())


class Look(_OnRun):
    """A user who compares images and reads why a filter rejected a case."""

    def test_fade_and_side_by_side(self) -> None:
        panel = self.open("Look", "sight_cases", "run_sights")
        self.assertTrue(panel.show())
        composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        panel.ui.lookFadeSlider.value = 0.5
        slicer.app.processEvents()
        self.assertAlmostEqual(composite.GetForegroundOpacity(), 0.5)
        screenshot("train-look")
        panel.ui.lookBesideCheckBox.checked = True
        slicer.app.processEvents()
        screenshot("train-look-beside")
        panel.ui.lookBesideCheckBox.checked = False
        self.assertEqual(panel.ui.lookFilterComboBox.currentData, "kept")
        self.assertGreater(panel.ui.lookCasesTable.rowCount, 0)
