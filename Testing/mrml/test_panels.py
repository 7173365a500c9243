"""The panels with stand-ins for Slicer's widgets, real MRML and real child processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
import slicer
import slicer.util
from PySide6 import QtWidgets

from Testing.mrml import stand_in_qt
from Testing.mrml.train_panels import AnswersStandIn, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
UI = REPOSITORY / "FlareMRSeg" / "Resources" / "UI"
SEGMENTER = Path(__file__).with_name("stand_in_segmenter.py")


@pytest.fixture
def panels(
    application: QtWidgets.QApplication, scene: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    texts: list[str] = []
    clipboard = SimpleNamespace(setText=texts.append, text=lambda: texts[-1])
    monkeypatch.setattr(slicer.app, "clipboard", lambda: clipboard, raising=False)
    monkeypatch.setattr(slicer.app, "processEvents", application.processEvents)
    monkeypatch.setenv("FLAREMR_WEIGHTS", str(tmp_path / "weights"))
    from FlareMRSegLib import JobRunner as runner_module
    from FlareMRSegLib.JobRunner import JobRunner
    from FlareMRSegLib.Panels import Panels
    from FlareMRSegLib.ParameterNode import FlareMRSegParameterNode
    from FlareMRSegLib.SegmentationLogic import SegmentationLogic

    monkeypatch.delenv("FLAREMR_PYTHON", raising=False)
    monkeypatch.setattr(
        runner_module, "engineCommand", lambda words: [sys.executable, str(SEGMENTER), *words]
    )
    names = ("Segment", "Batch", "Weights", "Setup")
    loaded = {name: stand_in_qt.loadUi(UI / f"FlareMRSeg{name}.ui") for name in names}
    top, ui = stand_in_qt.loadUi(UI / "FlareMRSeg.ui")
    logic = SegmentationLogic(JobRunner(), tools=JobRunner())
    parts = {name: part for name, (_, part) in loaded.items()}
    made = Panels(parts, logic, ui.tabs, AnswersStandIn())
    made.setParameterNode(FlareMRSegParameterNode())
    yield made
    made.close()
    logic.close()
    del loaded, top


def wait(panels: Any) -> None:
    wait_until(lambda: not panels.logic.runner.isRunning(), "jobs")


def add_volume(name: str = "MR") -> Any:
    array = np.random.default_rng(0).normal(100, 20, (20, 24, 28)).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=np.diag([-2.0, -2, 3, 1]), name=name)


def test_apply_is_disabled_and_says_why(panels: Any) -> None:
    ui = panels.segment.ui
    assert not ui.applyButton.enabled
    assert ui.applyButton.toolTip == panels.segment.reasons()[0]
    panels.segment.parameterNode.inputVolume = add_volume()
    assert ui.applyButton.enabled
    ui.noOrgansButton.click()
    assert not ui.applyButton.enabled
    assert "organ" in ui.reasonLabel.text
    ui.allOrgansButton.click()
    assert panels.segment.parameterNode.organs == "all"


def test_widgets_and_parameter_node_follow_each_other(panels: Any) -> None:
    node, ui = panels.segment.parameterNode, panels.segment.ui
    ui.confidenceMapCheckBox.click()
    ui.viewsSpinBox.value = 4
    assert (node.confidenceMap, node.averagedViews) == (True, 4)
    node.mode = "accurate"
    assert ui.modeComboBox.currentData == "accurate"
    ui.modeComboBox.thing.setCurrentIndex(0)
    ui.modeComboBox.thing.activated.emit(0)
    assert node.mode == "fast"
    ui.organsList.item(0).setCheckState(stand_in_qt.QtCore.Qt.Unchecked)
    assert len(node.organs.split(",")) == 12
    node.weights = "kept-although-unknown"
    assert ui.weightsComboBox.currentData == "kept-although-unknown"


def test_apply_makes_a_segmentation_and_shows_it(panels: Any, tmp_path: Path) -> None:
    node, ui = panels.segment.parameterNode, panels.segment.ui
    node.inputVolume = add_volume()
    ui.applyButton.click()
    assert ui.cancelButton.enabled
    wait(panels)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert node.outputSegmentation.GetSegmentation().GetNumberOfSegments() == 13
    assert ui.resultTable.rowCount == 13
    assert "stand-in" in ui.summaryLabel.text
    assert ui.reviewList.count == 1
    ui.copyTableButton.click()
    assert len(slicer.app.clipboard().text().splitlines()) == 14
    panels.dialogs.path = tmp_path / "organs.csv"
    ui.saveTableButton.click()
    assert panels.dialogs.path.is_file()
    ui.sceneTableButton.click()
    ui.lastRegionButton.click()
    assert node.regionOfInterest is not None
    ui.drawRegionButton.click()
    ui.copyLogButton.click()
    assert "== MR" in slicer.app.clipboard().text()


def test_an_error_has_a_message_and_a_button(panels: Any) -> None:
    node, ui = panels.segment.parameterNode, panels.segment.ui
    node.inputVolume, node.weights = add_volume(), "no-such-weights"
    ui.applyButton.click()
    wait(panels)
    assert not ui.errorFrame.isHidden()
    assert "no-such-weights" in ui.errorLabel.text
    assert ui.errorButton.text
    panels.act("use-fast-mode")
    wait(panels)
    assert node.mode == "fast"
    ui.errorCloseButton.click()
    assert ui.errorFrame.isHidden()


def test_every_proposed_action_is_done_by_somebody(panels: Any) -> None:
    from FlareMRSegLib import ErrorMessages

    actions = panels._programActions() | panels._choiceActions()
    assert set(ErrorMessages.actionLabels()) == {*actions, ErrorMessages.NO_ACTION}


def test_batch_of_a_volume_and_files(panels: Any, tmp_path: Path) -> None:
    batch, ui = panels.batch, panels.batch.ui
    add_volume("first")
    from FlareMRSegLib.MrmlBridge import MrmlBridge

    images = tmp_path / "images é"
    images.mkdir()
    MrmlBridge().prepareInput(add_volume("second"), images / "good.nrrd")
    (images / "bad.nrrd").write_text("no image", encoding="utf-8")
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("second"))
    assert not ui.runBatchButton.enabled
    ui.addVolumesButton.click()
    panels.dialogs.path = images
    ui.batchFolderEdit.currentPath = str(tmp_path / "out")
    ui.addFolderButton.click()
    assert ui.batchTable.rowCount == 3
    ui.runBatchButton.click()
    wait_until(lambda: not batch._isRunning, "the batch")
    assert sorted(row.state for row in batch.queue.rows) == ["done", "done", "failed"]
    assert (tmp_path / "out" / "good.seg.nrrd").is_file()
    assert ui.retryBatchButton.enabled
    header, *rows = batch.toCsv().splitlines()
    assert "liver_ml" in header
    assert sum(",1.5" in row for row in rows) == 2
    batch.queue.clear()
    batch.resume(tmp_path / "out" / "flaremr-batch.json")
    assert [row.state for row in batch.queue.rows if row.kind == "file"].count("waiting") == 1
    assert "liver_ml" in batch.toCsv()


def test_a_batch_without_a_place_for_results_ends(panels: Any, tmp_path: Path) -> None:
    batch, ui = panels.batch, panels.batch.ui
    images = [tmp_path / "a.nrrd", tmp_path / "b.nrrd"]
    for path in [*images, tmp_path / "taken"]:
        path.write_text("a file", encoding="utf-8")
    ui.batchFolderEdit.currentPath = str(tmp_path / "taken")
    batch.addFiles(images)
    ui.runBatchButton.click()
    assert not batch._isRunning
    assert [row.state for row in batch.queue.rows] == ["failed", "failed"]
    assert all("cannot be a folder" in row.message for row in batch.queue.rows)
    assert "2 failed" in ui.batchStageLabel.text
    assert "cannot be a folder" in ui.batchStageLabel.text
    batch.saveCsv(tmp_path / "taken" / "table.csv")
    assert "table.csv' was not written" in ui.batchStageLabel.text


def test_weights_are_listed_and_a_bad_archive_is_refused(panels: Any, tmp_path: Path) -> None:
    weights = panels.weights
    weights.refresh()
    wait_until(lambda: not weights.runner.isRunning(), "the list")
    assert weights.folder
    assert weights.ui.weightsTable.rowCount == len(weights.weights)
    (tmp_path / "bad.zip").write_text("no archive", encoding="utf-8")
    panels.dialogs.path = tmp_path / "bad.zip"
    weights.ui.importWeightsButton.click()
    wait_until(lambda: not weights.runner.isRunning(), "the import")
    assert "bad.zip" in weights.ui.weightsStageLabel.text


def test_a_license_that_is_not_open_is_accepted_once(panels: Any) -> None:
    facts = {"id": "x", "version": "1", "title": "X", "license": "NC", "license_url": "u"}
    panels.weights.weights = [facts | {"default": True, "open_license": False}]
    assert panels.weights.accepted("")
    assert panels.weights.accepted("x")
    assert len(panels.dialogs.questions) == 1


def test_setup_shows_rows_and_copies_a_report(panels: Any) -> None:
    setup = panels.setup
    panels.tabs.thing.setCurrentIndex(3)
    wait_until(lambda: not setup.isChecking, "the setup")
    assert setup.ui.setupTable.rowCount >= 4, setup.ui.setupStageLabel.text
    setup.ui.doctorButton.click()
    assert "[problems]" in slicer.app.clipboard().text()


def test_a_closed_scene_ends_the_run(panels: Any) -> None:
    panels.segment.parameterNode.inputVolume = add_volume()
    panels.segment.apply()
    panels.setParameterNode(None)
    slicer.mrmlScene.Clear()
    panels.logic.runner.cancelAll()
    wait(panels)
    assert not panels.segment.ui.applyButton.enabled
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
