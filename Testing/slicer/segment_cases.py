"""The tab Segment: sample, Apply, result, cancel, errors."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import unittest
from pathlib import Path

import slicer
from driving import (
    fresh_panels,
    load_sample,
    need_engine,
    screenshot,
    torch_is_outside,
    wait_for_jobs,
    wait_until,
)


class Segment(unittest.TestCase):
    """A user at the tab Segment."""

    def setUp(self) -> None:
        self.panels = fresh_panels()
        self.ui = self.panels.segment.ui

    def test_apply_is_disabled_and_says_why(self) -> None:
        self.assertFalse(self.ui.applyButton.enabled)
        self.assertIn("volume", self.ui.reasonLabel.text)
        self.assertEqual(self.ui.applyButton.toolTip, self.panels.segment.reasons()[0])

    def test_no_organ_is_a_reason(self) -> None:
        self.ui.noOrgansButton.click()
        self.assertEqual(self.panels.segment.parameterNode.organs, "")
        self.assertIn("organ", self.ui.reasonLabel.text)
        self.ui.allOrgansButton.click()
        self.assertEqual(self.panels.segment.parameterNode.organs, "all")

    def test_widgets_write_the_parameter_node(self) -> None:
        node = self.panels.segment.parameterNode
        self.ui.confidenceMapCheckBox.click()
        self.assertTrue(node.confidenceMap)
        self.ui.viewsSpinBox.value = 4
        self.assertEqual(node.averagedViews, 4)
        node.mode = "accurate"
        self.assertEqual(self.ui.modeComboBox.currentData, "accurate")
        self.assertTrue(self.ui.modeLabel.text)

    def test_sample_is_segmented(self) -> None:
        need_engine()
        volume = load_sample(self.panels)
        self.assertTrue(self.ui.applyButton.enabled, self.ui.reasonLabel.text)
        self.ui.applyButton.click()
        self.assertTrue(self.ui.cancelButton.enabled)
        wait_for_jobs(self.panels)
        self.assertTrue(self.ui.errorFrame.isHidden(), self.ui.errorLabel.text)
        result = self.panels.segment.parameterNode.outputSegmentation
        self.assertEqual(result.GetSegmentation().GetNumberOfSegments(), 13)
        role = result.GetReferenceImageGeometryReferenceRole()
        self.assertEqual(result.GetNodeReferenceID(role), volume.GetID())
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = hierarchy.GetItemByDataNode(result)
        self.assertEqual(
            hierarchy.GetItemParent(item), hierarchy.GetItemByDataNode(volume), "not under input"
        )
        self.assertEqual(self.ui.resultTable.rowCount, 13)
        self.assertTrue(torch_is_outside())
        slicer.util.resetThreeDViews()
        screenshot("FlareMRSeg")

    def test_chosen_organs_only(self) -> None:
        need_engine()
        load_sample(self.panels)
        self.panels.segment.setOrgans(("liver", "spleen"))
        self.ui.applyButton.click()
        wait_for_jobs(self.panels)
        result = self.panels.segment.parameterNode.outputSegmentation
        self.assertEqual(result.GetSegmentation().GetNumberOfSegments(), 2)

    def test_region_is_drawn_and_used(self) -> None:
        need_engine()
        load_sample(self.panels)
        self.ui.drawRegionButton.click()
        self.assertIsNotNone(self.panels.segment.parameterNode.regionOfInterest)
        self.ui.applyButton.click()
        wait_for_jobs(self.panels)
        self.assertTrue(self.ui.errorFrame.isHidden(), self.ui.errorLabel.text)
        self.ui.lastRegionButton.click()
        region = self.panels.segment.parameterNode.regionOfInterest
        self.assertIn("region", region.GetName())

    def test_cancel(self) -> None:
        need_engine()
        load_sample(self.panels)
        self.panels.segment.parameterNode.mode = "accurate"
        runner = self.panels.logic.runner
        pids: list[int] = []
        runner.started.connect(lambda *_: pids.append(runner._running.process.pid))
        self.ui.applyButton.click()
        wait_until(lambda: runner.currentJobId() is not None, "the job to start")
        screenshot("running")
        self.ui.cancelButton.click()
        wait_for_jobs(self.panels)
        self.assertIsNone(self.panels.segment.parameterNode.outputSegmentation)
        self.assertFalse(self.ui.cancelButton.enabled)
        self.assertEqual(len(pids), 1)
        self.assertFalse(Path(f"/proc/{pids[0]}").exists(), "the child is still there")

    def test_error_has_a_message_and_a_button(self) -> None:
        need_engine()
        load_sample(self.panels)
        self.panels.segment.parameterNode.weights = "no-such-weights"
        self.ui.applyButton.click()
        wait_for_jobs(self.panels)
        self.assertFalse(self.ui.errorFrame.isHidden())
        self.assertIn("no-such-weights", self.ui.errorLabel.text)
        self.assertTrue(self.ui.errorButton.text)
        screenshot("error")
        self.ui.errorButton.click()
        self.assertTrue(self.ui.errorFrame.isHidden())

    def test_closing_the_scene_ends_the_run(self) -> None:
        need_engine()
        load_sample(self.panels)
        self.ui.applyButton.click()
        slicer.mrmlScene.Clear()
        wait_for_jobs(self.panels)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 0)
