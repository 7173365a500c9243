"""The tab Result: tables, weights for FlareMRSeg, texts, and jobs for other computers."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
import slicer

from FlareMRCore.cli.main import main
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.methods_text import methods_text
from FlareMRCore.pipeline.run_results import ablation_rows, ablation_table, run_scores, scores_table
from FlareMRCore.pipeline.stage import PACK
from FlareMRCore.weights.store import WeightsStore
from Testing.core.pipeline.recipe_texts import ONE
from Testing.core.pipeline.scored_runs import MODEL_RECIPE, scored_run
from Testing.mrml import stand_in_qt
from Testing.mrml.train_panels import (
    InProcess,
    train_panels,
    wait_for_commands,
    wait_until,
)

SEG_UI = Path(__file__).resolve().parents[2] / "FlareMRSeg" / "Resources" / "UI"
SEG_TABS = ("Segment", "Batch", "Weights", "Setup")


@pytest.fixture
def panels(
    application: Any, scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("FLAREMR_WEIGHTS_DIR", str(tmp_path / "weights"))
    with train_panels(application, tmp_path / "store", InProcess) as found:
        found.openTab("Result")
        yield found


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def cells(table: Any) -> list[list[str]]:
    """Texts of a table widget."""
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def buttons(panel: Any) -> dict[str, bool]:
    """Which buttons can be pressed."""
    found = {name: w for name, w in vars(panel.ui).items() if name.endswith("Button")}
    sections = {"resultScoresButton", "resultWeightsButton", "resultMethodsButton"}
    return {
        name: bool(widget.enabled)
        for name, widget in found.items()
        if name not in sections | {"resultJobButton"}
    }


def test_without_a_run_only_results_can_be_imported(panels: Any) -> None:
    panel = panels.panels["Result"]
    enabled = [name for name, isOn in buttons(panel).items() if isOn]
    assert enabled == ["importJobButton"]
    assert "No run is chosen" in panel.ui.resultIntroLabel.text


def test_scores_are_those_of_the_command_line(
    panels: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    first = scored_run(tmp_path, store)
    run = scored_run(tmp_path, store, preset="mini")
    panels.refresh()
    panel = panels.panels["Result"]
    ui = panel.ui
    assert [ui.resultTableComboBox.itemText(n) for n in range(2)] == [
        "scored",
        "Ablation: all runs",
    ]
    expected = scores_table(run_scores(run)[0])
    assert cells(ui.resultScoresTable) == [list(row) for row in expected.rows]
    ui.resultTableComboBox.thing.setCurrentIndex(1)
    ui.resultTableComboBox.thing.activated.emit(1)
    table = ablation_table(ablation_rows([first, run]))
    assert cells(ui.resultScoresTable) == [list(row) for row in table.rows]
    ui.copyScoresButton.click()
    assert slicer.app.clipboard().text().startswith("recipe\tpreset\tprofile\tscores\tchanges")
    panels.session.dialogs.path = tmp_path / "scores.csv"
    ui.saveScoresButton.click()
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8") == table.csv()
    panels.refresh()  # what is shown stays
    assert ui.resultTableComboBox.currentIndex == 1


def test_a_convention_without_scores_has_no_table(
    panels: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    scored_run(tmp_path, store)
    panels.refresh()
    panel = panels.panels["Result"]
    panel.ui.resultModeComboBox.thing.setCurrentIndex(1)
    panel.ui.resultModeComboBox.thing.activated.emit(1)
    assert panel.ui.resultScoresTable.rowCount == 0
    assert not panel.ui.tableToSceneButton.enabled


def test_the_table_in_the_scene_has_numbers(
    panels: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    scored_run(tmp_path, store)
    panels.refresh()
    panel = panels.panels["Result"]
    panel.ui.tableToSceneButton.click()
    panel.ui.tableToSceneButton.click()  # the same node again
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    table = node.GetTable()
    assert table.GetColumnByName("organ").GetValue(0) == "liver"
    assert table.GetColumnByName("DSC").GetValue(0) == 0.875
    assert math.isnan(table.GetColumnByName("HD95 mm").GetValue(2))
    selected = slicer.app.applicationLogic().GetSelectionNode().GetActiveTableID()
    assert selected == node.GetID()


def test_one_click_installs_weights_and_chooses_them(
    panels: Any, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from FlareMRTrainLib import SegmentModule

    node = SimpleNamespace(weights="")
    calls: list[str] = []
    widget = SimpleNamespace(
        initializeParameterNode=lambda: calls.append("node"),
        logic=SimpleNamespace(getParameterNode=lambda: node),
        panels=SimpleNamespace(weights=SimpleNamespace(refresh=lambda: calls.append("refresh"))),
    )
    module = SimpleNamespace(widgetRepresentation=lambda: SimpleNamespace(self=lambda: widget))
    monkeypatch.setattr(slicer.modules, "flaremrseg", module, raising=False)
    monkeypatch.setattr(SegmentModule.slicer.util, "selectModule", calls.append)
    scored_run(tmp_path, store, MODEL_RECIPE)
    panels.refresh()
    panel = panels.panels["Result"]
    panel.ui.useWeightsButton.click()
    wait_for_commands(panels)
    assert WeightsStore(folder=tmp_path / "weights").state("fake-weights") == "installed"
    assert node.weights == "fake-weights"
    assert calls == ["node", "refresh", "FlareMRSeg"]
    assert panel._temporary is None
    assert panel.ui.useWeightsButton.enabled


def test_the_module_that_segments_offers_them(
    panels: Any, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FlareMRSeg's own panels, which read the list of weights in a process of their own."""
    from FlareMRSegLib.JobRunner import JobRunner
    from FlareMRSegLib.Panels import Panels
    from FlareMRSegLib.ParameterNode import FlareMRSegParameterNode
    from FlareMRSegLib.SegmentationLogic import SegmentationLogic
    from FlareMRTrainLib import SegmentModule

    loaded = {name: stand_in_qt.loadUi(SEG_UI / f"FlareMRSeg{name}.ui") for name in SEG_TABS}
    top, ui = stand_in_qt.loadUi(SEG_UI / "FlareMRSeg.ui")
    logic = SegmentationLogic(JobRunner(), tools=JobRunner())
    parts = {name: part for name, (_, part) in loaded.items()}
    segment, node = Panels(parts, logic, ui.tabs, panels.session.dialogs), FlareMRSegParameterNode()
    widget = SimpleNamespace(
        initializeParameterNode=lambda: segment.setParameterNode(node),
        logic=SimpleNamespace(getParameterNode=lambda: node),
        panels=segment,
    )
    monkeypatch.setattr(slicer.modules, "FlareMRSegWidget", widget, raising=False)
    module = SimpleNamespace(widgetRepresentation=lambda: None)
    monkeypatch.setattr(slicer.modules, "flaremrseg", module, raising=False)
    monkeypatch.setattr(SegmentModule.slicer.util, "selectModule", lambda name: None)
    scored_run(tmp_path, store, MODEL_RECIPE)
    panels.refresh()
    panels.panels["Result"].useWeights()
    wait_for_commands(panels)
    wait_until(lambda: not segment.weights.runner.isRunning(), "the list of weights")
    combo = segment.segment.ui.weightsComboBox
    assert (combo.currentData, combo.currentText) == ("fake-weights", "Fake weights 1")
    facts = next(w for w in segment.weights.weights if w["id"] == "fake-weights")
    assert (facts["state"], facts["scores"]) == ("installed", {})  # others were scored
    segment.close()
    logic.close()
    del loaded, top


def test_weights_that_cannot_be_imported_are_not_chosen(
    panels: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    run = scored_run(tmp_path, store, MODEL_RECIPE)
    stage = run.stage("published")
    assert stage is not None
    (stage.folders[0] / "fake.pt").write_text("damaged", encoding="utf-8")
    panels.refresh()
    panel = panels.panels["Result"]
    chosen: list[str] = []
    panel.chooseWeights = chosen.append
    panel.ui.useWeightsButton.click()
    wait_for_commands(panels)
    assert chosen == []
    assert "fake.pt" in panels.ui.trainStateLabel.text
    assert panel.ui.useWeightsButton.enabled


def test_weights_and_files_are_written_below_a_folder(
    panels: Any, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from FlareMRTrainLib import ResultPanel as module

    monkeypatch.setattr(module, "FILES", (PACK,))
    scored_run(tmp_path, store, MODEL_RECIPE)
    panels.refresh()
    panel = panels.panels["Result"]
    panels.session.dialogs.path = tmp_path
    panel.ui.exportWeightsFolderButton.click()
    wait_for_commands(panels)
    assert (tmp_path / "fake-paper-weights" / "MODEL-CARD.md").is_file()
    assert panel.ui.resultFilesComboBox.currentText == "packed"
    panel.ui.exportFilesButton.click()
    wait_for_commands(panels)
    assert (tmp_path / "fake-paper-packed" / "all.txt").is_file()
    panel.ui.exportFilesButton.click()
    wait_for_commands(panels)
    assert "not an empty folder" in panels.ui.trainStateLabel.text


def test_methods_are_shown_copied_and_saved(
    panels: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    run = scored_run(tmp_path, store)
    panels.refresh()
    panel = panels.panels["Result"]
    assert not panel.ui.copyMethodsButton.enabled
    panel.ui.writeMethodsButton.click()
    wait_for_commands(panels)
    expected = methods_text(run)
    assert panel.ui.methodsTextEdit.plainText == expected
    panel.ui.copyMethodsButton.click()
    assert slicer.app.clipboard().text() == expected
    panels.session.dialogs.path = tmp_path / "methods.md"
    panel.ui.saveMethodsButton.click()
    assert (tmp_path / "methods.md").read_text(encoding="utf-8") == expected
    panels.refresh()  # the text stays while the run stays
    assert panel.ui.methodsTextEdit.plainText == expected


def test_a_job_goes_out_and_comes_back(panels: Any, store: ArtifactStore, tmp_path: Path) -> None:
    recipe = tmp_path / "one.toml"
    recipe.write_text(ONE, encoding="utf-8")
    panels.session.parameterNode.recipe = str(recipe)
    panel = panels.panels["Result"]
    panels.session.dialogs.path = tmp_path
    assert panel.ui.exportJobButton.enabled
    panel.ui.exportJobButton.click()
    wait_for_commands(panels)
    job = tmp_path / "one-paper-job"
    assert os.access(job / "run.sh", os.X_OK) or sys.platform == "win32"
    assert main(["recipe", "run", str(job / "recipe.toml"), "--store", str(job / "store")]) == 0
    panels.session.dialogs.path = job
    panel.ui.importJobButton.click()
    wait_for_commands(panels)
    run = panels.session.run()
    assert (run.recipe, run.state) == ("one", "done")
    assert Path(panels.session.parameterNode.runFolder) == run.folder
    assert run.folder.parents[1].resolve() == store.root.resolve()
    assert panel.run.recipe == "one"
