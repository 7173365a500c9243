"""The tab Batch: volumes of the scene and files, failures, retry, resume."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import slicer
from driving import AnswersStandIn, fresh_panels, load_sample, need_engine, screenshot, use_dialogs
from driving import wait_for_jobs as wait


class Batch(unittest.TestCase):
    """A user with several images."""

    def setUp(self) -> None:
        need_engine()
        self.panels = fresh_panels()
        self.batch = self.panels.batch
        self.batch.queue.clear()
        self.panels.tabs.setCurrentIndex(1)
        self.addCleanup(self.panels.tabs.setCurrentIndex, 0)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.volume = load_sample(self.panels)

    def states(self) -> list[str]:
        return [row.state for row in self.batch.queue.rows]

    def write_images(self) -> Path:
        """A folder with a good image and one that is none."""
        images = self.folder / "images é"
        images.mkdir()
        slicer.util.exportNode(self.volume, str(images / "good.nrrd"))
        (images / "bad.nrrd").write_text("no image", encoding="utf-8")
        return images

    def test_volumes_of_the_scene(self) -> None:
        self.batch.ui.addVolumesButton.click()
        self.assertEqual(self.states(), ["waiting"])
        self.batch.ui.runBatchButton.click()
        wait(self.panels)
        self.assertEqual(self.states(), ["done"])
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 1)

    def test_one_failure_does_not_stop_the_others(self) -> None:
        images = self.write_images()
        self.batch.ui.batchFolderEdit.currentPath = str(self.folder / "out")
        use_dialogs(self.panels, AnswersStandIn(images))
        self.batch.ui.addFolderButton.click()
        self.batch.ui.runBatchButton.click()
        wait(self.panels)
        self.assertEqual(sorted(self.states()), ["done", "failed"])
        self.assertTrue((self.folder / "out" / "good.seg.nrrd").is_file())
        self.assertTrue(self.batch.ui.retryBatchButton.enabled)
        screenshot("batch")
        self.batch.saveCsv(self.folder / "batch.csv")
        lines = (self.folder / "batch.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("liver_ml", lines[0])
        self.check_resume()

    def check_resume(self) -> None:
        """A batch that was closed goes on with what is not done."""
        self.batch.queue.clear()
        self.batch.resume(self.folder / "out" / "flaremr-batch.json")
        self.assertEqual(sorted(self.states()), ["done", "waiting"])
        self.assertIn("liver_ml", self.batch.toCsv())
