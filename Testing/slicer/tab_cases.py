"""The tabs Weights and Setup."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import slicer
from driving import fresh_panels, need_engine, screenshot, wait_until


class Weights(unittest.TestCase):
    """A user who looks after the weights."""

    def setUp(self) -> None:
        need_engine()
        self.panels = fresh_panels()
        self.weights = self.panels.weights
        self.panels.tabs.setCurrentIndex(2)
        self.addCleanup(self.panels.tabs.setCurrentIndex, 0)
        self.idle()
        self.weights.ui.refreshWeightsButton.click()
        self.idle()

    def idle(self) -> None:
        """Wait for the jobs of the tab."""
        wait_until(lambda: not self.weights.runner.isRunning(), "the jobs of the tab Weights")

    def test_list_is_shown(self) -> None:
        self.assertEqual(self.weights.ui.weightsTable.rowCount, len(self.weights.weights))
        self.assertTrue(self.weights.folder)
        self.assertGreater(self.panels.segment.ui.weightsComboBox.count, 0)
        screenshot("weights")

    def test_bundled_weights_are_verified_and_exported(self) -> None:
        bundled = [w["id"] for w in self.weights.weights if w["state"] == "bundled"]
        if not bundled:
            self.skipTest("no weights are bundled")
        self.weights.verify(bundled[0])
        self.idle()
        self.assertIn("done", self.weights.ui.weightsStageLabel.text)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.zip"
            self.weights.exportTo(bundled[0], path)
            self.idle()
            self.assertTrue(path.is_file())

    def test_a_bad_archive_is_refused_in_words(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bad.zip"
            path.write_text("no archive", encoding="utf-8")
            self.weights.importFrom(path)
            self.idle()
        self.assertIn("bad.zip", self.weights.ui.weightsStageLabel.text)


class Setup(unittest.TestCase):
    """A user who looks at what is installed."""

    def test_rows_and_report(self) -> None:
        panels = fresh_panels()
        panels.tabs.setCurrentIndex(3)
        self.addCleanup(panels.tabs.setCurrentIndex, 0)
        setup = panels.setup
        wait_until(lambda: not setup.isChecking, "the first look")
        setup.ui.checkSetupButton.click()
        wait_until(lambda: not setup.isChecking, "the setup to be looked at")
        self.assertGreaterEqual(setup.ui.setupTable.rowCount, 4, setup.ui.setupStageLabel.text)
        setup.ui.doctorButton.click()
        self.assertIn("[problems]", slicer.app.clipboard().text())
        screenshot("setup")
