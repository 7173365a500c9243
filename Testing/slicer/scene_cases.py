"""Scenes that are saved and loaded, sample data, and the module's Reload."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

import slicer
from driving import (
    fresh_panels,
    load_sample,
    need_engine,
    torch_is_outside,
    wait_for_jobs,
    wait_until,
    widget,
)


class Scene(unittest.TestCase):
    """What a scene keeps."""

    def test_parameters_and_result_survive_saving_and_loading(self) -> None:
        need_engine()
        panels = fresh_panels()
        load_sample(panels)
        panels.segment.setOrgans(("liver", "aorta"))
        panels.segment.apply()
        wait_for_jobs(panels)
        panels.segment.parameterNode.averagedViews = 2
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.mrb"
            self.assertTrue(slicer.util.saveScene(str(path)))
            slicer.mrmlScene.Clear()
            slicer.util.loadScene(str(path))
        node = widget().panels.segment.parameterNode
        self.assertEqual(node.organs, "liver,aorta")
        self.assertEqual((node.mode, node.averagedViews), ("fast", 2))
        self.assertEqual(node.inputVolume.GetName(), "FlareMRPhantom")
        self.assertEqual(node.outputSegmentation.GetSegmentation().GetNumberOfSegments(), 2)
        self.assertEqual(panels.segment.ui.resultTable.rowCount, 2)

    def test_sample_data_offers_the_phantom(self) -> None:
        need_engine()
        fresh_panels()
        from FlareMRSegLib.SampleVolume import CATEGORY, SAMPLE_NAME, downloadSample

        wait_until(lambda: CATEGORY in slicer.modules.sampleDataSources, "the registration")
        names = [source.sampleName for source in slicer.modules.sampleDataSources[CATEGORY]]
        self.assertEqual(names.count(SAMPLE_NAME), 1)
        (volume,) = downloadSample()
        self.assertEqual(volume.GetImageData().GetNumberOfScalarComponents(), 1)

    def test_scripts_need_no_widget(self) -> None:
        need_engine()
        fresh_panels()
        from FlareMRSegLib.Options import SegmentationOptions
        from FlareMRSegLib.SampleVolume import downloadSample

        from FlareMRSeg import FlareMRSegLogic

        (volume,) = downloadSample()
        logic = FlareMRSegLogic()
        self.addCleanup(logic.close)
        output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        options = SegmentationOptions(mode="fast", device="cpu", show3d=False)
        result = logic.segmentVolume(volume, output, options, wait=True)
        self.assertTrue(result.succeeded, result.error)
        self.assertEqual(output.GetSegmentation().GetNumberOfSegments(), 13)


class Reload(unittest.TestCase):
    """The developer's button Reload; runs last, because it replaces the widget."""

    def test_reload_brings_new_packages_and_a_working_widget(self) -> None:
        fresh_panels()
        before = sys.modules["FlareMRSegLib.Panels"]
        widget().onReload()
        self.assertIsNot(sys.modules["FlareMRSegLib.Panels"], before)
        panels = fresh_panels()
        self.assertFalse(panels.segment.ui.applyButton.enabled)
        self.assertTrue(torch_is_outside())
