"""The section Results of one segmented sample."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import slicer
from driving import fresh_panels, load_sample, need_engine, wait_for_jobs


class Results(unittest.TestCase):
    """A user who has a result."""

    panels: Any

    @classmethod
    def setUpClass(cls) -> None:
        need_engine()
        cls.panels = fresh_panels()
        load_sample(cls.panels)
        cls.panels.segment.apply()
        wait_for_jobs(cls.panels)

    def setUp(self) -> None:
        self.ui = self.panels.segment.ui
        self.results = self.panels.results
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_table_is_copied_saved_and_added_to_the_scene(self) -> None:
        self.ui.copyTableButton.click()
        self.assertEqual(len(slicer.app.clipboard().text().splitlines()), 14)
        self.results.saveTable(self.folder / "organs.csv")
        text = (self.folder / "organs.csv").read_text(encoding="utf-8")
        self.assertTrue(text.startswith("id,name,value,volume_ml"))
        self.ui.sceneTableButton.click()
        self.ui.sceneTableButton.click()
        tables = slicer.util.getNodesByClass("vtkMRMLTableNode")
        self.assertEqual([table.GetNumberOfRows() for table in tables], [13])

    def test_jump_shows_the_organ(self) -> None:
        self.assertTrue(self.results.jumpTo("liver"))
        self.assertFalse(self.results.jumpTo("no-such-organ"))

    def test_surfaces_follow_the_smoothing(self) -> None:
        self.panels.segment.parameterNode.surfaceSmoothing = 0.0
        self.ui.surfacesButton.click()
        node = self.results.node()
        self.assertTrue(node.GetDisplayNode().GetVisibility3D())
        name = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
        name = name.GetSmoothingFactorParameterName()
        self.assertEqual(float(node.GetSegmentation().GetConversionParameter(name)), 0.0)

    def test_exports(self) -> None:
        for number, name in enumerate(("organs.nii.gz", "organs.seg.nrrd", "surfaces")):
            self.ui.exportComboBox.setCurrentIndex(number)
            self.results.export(self.folder / name)
        self.assertTrue((self.folder / "organs.nii.gz").is_file())
        self.assertTrue((self.folder / "organs.seg.nrrd").is_file())
        self.assertEqual(len(list((self.folder / "surfaces").glob("*.stl"))), 13)
        self.assertEqual(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode"), [])

    def test_segment_editor_gets_the_result(self) -> None:
        if slicer.util.mainWindow() is None:
            self.skipTest("needs the main window")
        self.ui.editButton.click()
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        self.assertEqual(editor.segmentationNode().GetID(), self.results.node().GetID())
        slicer.util.selectModule("FlareMRSeg")

    def test_dicom_says_what_is_missing(self) -> None:
        from FlareMRSegLib.SegmentationExport import canExportDicom

        is_there = canExportDicom()
        self.assertEqual(self.ui.dicomButton.enabled, is_there)
        self.assertEqual(bool(self.ui.dicomLabel.text), not is_there)
