"""The tab Result of FlareMRTrain: from the files of a run to weights that FlareMRSeg uses."""

# ruff: noqa: PT009 - unittest, because Slicer brings no pytest

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import slicer
from driving import JOB_TIMEOUT_S, need_engine, screenshot, wait_until, widget
from train_cases import train_panels

WEIGHTS = "two-steps"
RECIPE = Path(__file__).resolve().parents[1] / "core" / "pipeline" / "two-steps.toml"


class TrainResult(unittest.TestCase):
    """A user who looks at what a run has given."""

    def setUp(self) -> None:
        need_engine()
        self.panels = train_panels()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(self.panels.openTab, "Dataset")
        self.panels.session.chooseStore(self.folder / "store")
        store = str(self.folder / "store")
        self.command(["recipe", "run", str(RECIPE), "--store", store, "--device", "cpu"])
        self.panels.openTab("Result")
        self.panel = self.panels.panels["Result"]

    def command(self, words: list[str]) -> Any:
        """The result of a command of the engine."""
        results: list[Any] = []
        self.panels.session.command(words[1], [*words, "--json-progress"], results.append)
        wait_until(lambda: results, " ".join(words[:2]), JOB_TIMEOUT_S)
        self.assertTrue(results[0].succeeded, results[0].error)
        return results[0]

    def idle(self) -> None:
        """Wait for the commands of the panel."""
        wait_until(lambda: not self.panels.session.isBusy(), "the commands")

    def test_scores_are_shown_and_put_into_the_scene(self) -> None:
        self.assertGreater(self.panel.ui.resultScoresTable.rowCount, 10)
        self.panel.ui.tableToSceneButton.click()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
        self.assertEqual(node.GetTable().GetColumnName(0), "organ")
        screenshot("train-result")

    def test_weights_are_chosen_in_one_click(self) -> None:
        self.addCleanup(self.command, ["weights", "remove", WEIGHTS])
        self.panel.ui.useWeightsButton.click()
        self.idle()
        segment = widget()
        wait_until(lambda: not segment.panels.weights.runner.isRunning(), "the list of weights")
        self.assertEqual(segment.logic.getParameterNode().weights, WEIGHTS)
        self.assertEqual(segment.panels.segment.ui.weightsComboBox.currentData, WEIGHTS)

    def test_methods_are_written(self) -> None:
        self.panel.ui.writeMethodsButton.click()
        self.idle()
        text = self.panel.ui.methodsTextEdit.plainText
        self.assertIn("flaremr-coarse was trained for 2 steps", text)
        self.panel.ui.copyMethodsButton.click()
        self.assertEqual(slicer.app.clipboard().text(), text)
