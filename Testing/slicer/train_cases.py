"""The module FlareMRTrain: its tabs, plots, and the way from images to weights."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import slicer
from driving import AnswersStandIn, need_engine, screenshot, torch_is_outside, wait_until

sys.path.append(str(Path(__file__).resolve().parents[1] / "mrml"))
TABS = ("Dataset", "Recipe", "Run", "Look", "Review", "Result")
CURVES = {"step": [10.0, 20.0], "loss": [2.0, 1.5], "validation": [float("nan"), 0.4]}


def train_panels() -> Any:
    """The panels of FlareMRTrain, entered as by a user, in an empty scene."""
    slicer.mrmlScene.Clear()
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("FlareMRTrain")
    representation = slicer.modules.flaremrtrain.widgetRepresentation()
    # After Reload the representation still hands out the first instance.
    widget = getattr(slicer.modules, "FlareMRTrainWidget", None) or representation.self()
    widget.enter()
    slicer.app.processEvents()
    widget.panels.session.dialogs = AnswersStandIn()
    return widget.panels


class Train(unittest.TestCase):
    """A user who trains."""

    def setUp(self) -> None:
        self.panels = train_panels()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(self.panels.openTab, "Dataset")

    def idle(self) -> None:
        """Wait for the commands of the panels."""
        wait_until(lambda: not self.panels.session.isBusy(), "the commands")

    def test_every_tab_opens(self) -> None:
        for name in TABS:
            self.panels.openTab(name)
            slicer.app.processEvents()
            self.assertIs(self.panels.visiblePanel(), self.panels.panels[name])
            screenshot(f"train-{name.lower()}")

    def test_recipes_are_listed_with_their_parameters(self) -> None:
        need_engine()
        panel = self.panels.panels["Recipe"]
        self.panels.openTab("Recipe")
        panel.choose("contrast-randomized", preset="mini")
        self.idle()
        self.assertGreater(panel.ui.parametersTable.rowCount, 10)
        self.assertGreater(panel.ui.recipeGraphTable.rowCount, 3)
        self.assertTrue(panel.ui.recipeDescriptionLabel.text)
        screenshot("train-recipe-parameters")

    def test_a_value_is_edited_in_the_table(self) -> None:
        need_engine()
        panel = self.panels.panels["Recipe"]
        self.panels.openTab("Recipe")
        panel.choose("contrast-randomized", preset="mini")
        self.idle()
        panel.ui.parametersTable.item(0, 2).setText("3")
        self.assertEqual(list(panel.table.changes.values()), ["3"])
        panel.undo()
        self.assertEqual(panel.table.changes, {})

    def test_curves_are_plotted(self) -> None:
        from FlareMRTrainLib.CurvePlot import CurvePlot, openChart

        chart = CurvePlot("key", "Training").show(CURVES)
        self.assertEqual(chart.GetNumberOfPlotSeriesNodes(), 2)
        openChart(chart)
        slicer.app.processEvents()
        screenshot("train-curves")

    @unittest.skipUnless(os.name == "posix", "needs SIGKILL")
    def test_from_a_folder_to_reviewed_weights(self) -> None:
        need_engine()
        import adaptation_steps
        from adaptation_steps import CORRECTED, REJECTED, Steps

        steps = Steps(self.panels, self.folder, wait_until)
        self.addCleanup(adaptation_steps.end_processes, self.folder / "store")
        steps.prepare()
        steps.import_cohort()
        self.panels.panels["Dataset"].loadCase(0)
        screenshot("train-dataset-case")
        steps.choose_recipe()
        steps.start()
        steps.kill_in_training()
        self.panels.panels["Run"].showCurves()
        screenshot("train-run-interrupted")
        steps.resume()
        steps.finish()
        self.assertEqual(set(steps.queue()), {REJECTED, CORRECTED})
        steps.reject(REJECTED)
        steps.correct(CORRECTED, adaptation_steps.person(3)[1])
        screenshot("train-review-decided")
        steps.start()
        run = steps.finish()
        reviewed = adaptation_steps.made_cases(run, "reviewed")
        self.assertIsNone(reviewed[REJECTED]["label_map"])
        self.assertEqual(reviewed[CORRECTED]["label_source"], "corrected")
        self.segment(str(run.stage("model-2").folders[0]))
        self.assertTrue(torch_is_outside())

    def segment(self, weights: str) -> None:
        """FlareMRSeg takes the weights of the run as they are."""
        from FlareMRSegLib.Options import SegmentationOptions
        from FlareMRSegLib.SampleVolume import downloadSample

        from FlareMRSeg import FlareMRSegLogic

        (volume,) = downloadSample()
        logic = FlareMRSegLogic()
        self.addCleanup(logic.close)
        options = SegmentationOptions(mode="fast", device="cpu", weights=weights, show3d=False)
        result = logic.segmentVolume(volume, options=options, wait=True)
        self.assertTrue(result.succeeded, result.error)
        self.assertEqual(result.value.record["report"]["weights_id"], "tiny-2")
