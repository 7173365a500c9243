"""The tab Run: runs in processes of their own, curves as plot nodes, ends and failures in words."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
import slicer

from FlareMRCore.cli.main import main
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.run_reading import runs_of
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.recipe_fakes import RECIPE, STAGES, fake_recipe
from Testing.mrml.train_panels import (
    train_panels,
    wait_for_commands,
    wait_until,
)

COHORT = """
name = "people"
title = "People"
description = "Makes phantoms."

[[stage]]
id = "cohort"
use = "phantom-cohort"
ct_cases = {count}
test_cases = 0
spacing_mm = 24.0
"""
CURVE = "step,loss,rate,case,seconds,validation\n10,2.0,0.1,a,0.5,\n20,1.5,0.1,b,0.5,0.4\n"


@pytest.fixture
def panels(application: Any, scene: Any, tmp_path: Path) -> Iterator[Any]:
    with train_panels(application, tmp_path / "store") as found:
        found.session.parameterNode.threads = 1
        found.openTab("Run")
        yield found
        for run in runs_of(tmp_path / "store"):
            if run.state == "running" and run.pulse is not None:
                os.kill(run.pulse.pid, signal.SIGKILL)


def choose_people(panels: Any, folder: Path, count: int) -> None:
    path = folder / "people.toml"
    path.write_text(COHORT.format(count=count), encoding="utf-8")
    panels.session.parameterNode.recipe = str(path)


def state(panels: Any) -> str:
    panels.refresh()
    run = panels.session.run()
    return run.state if run is not None else ""


def stage_states(panels: Any) -> list[str]:
    table = panels.panels["Run"].ui.runStagesTable
    return [table.thing.item(row, 2).text() for row in range(table.rowCount)]


def run_fake(folder: Path, text: str = RECIPE) -> Path:
    store = ArtifactStore(folder / "store")
    options = RunOptions(stages=STAGES)
    return run_recipe(fake_recipe(folder, text), None, store, SilentReporter(), options).folder


def test_start_is_disabled_until_a_recipe_is_chosen(panels: Any, tmp_path: Path) -> None:
    panel = panels.panels["Run"]
    assert not panel.ui.startRunButton.enabled
    assert "recipe" in panel.ui.startRunButton.toolTip
    assert not panel.start()
    choose_people(panels, tmp_path, 1)
    assert panel.ui.startRunButton.enabled
    assert "people.toml" in panel.ui.runRecipeLabel.text


def test_a_run_is_started_and_its_end_is_clear(panels: Any, tmp_path: Path) -> None:
    choose_people(panels, tmp_path, 1)
    panels.panels["Run"].ui.startRunButton.click()
    wait_for_commands(panels)
    wait_until(lambda: state(panels) == "done", "the end of the run")
    ui = panels.panels["Run"].ui
    assert "has ended" in ui.runStateLabel.text
    assert "has ended" in panels.ui.trainStateLabel.text
    assert stage_states(panels) == ["done"]
    assert "cohort: done" in ui.runLogTextEdit.plainText
    assert ui.runProgressBar.isHidden()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_run_survives_the_module_is_paused_killed_and_resumed(
    application: Any, scene: Any, tmp_path: Path
) -> None:
    with train_panels(application, tmp_path / "store") as first:
        first.session.parameterNode.threads = 1
        choose_people(first, tmp_path, 400)
        first.openTab("Run")
        assert first.panels["Run"].start()
        wait_for_commands(first)
    with train_panels(application, tmp_path / "store") as second:
        second.openTab("Run")
        panel = second.panels["Run"]
        wait_until(lambda: state(second) == "running" and panel.ui.runProgressBar.value > 0, "it")
        assert "400" in panel.ui.runPaceLabel.text
        assert not panel.start()
        panel.ui.pauseRunButton.click()
        wait_for_commands(second)
        wait_until(lambda: state(second) == "cancelled", "the pause")
        assert "paused" in panel.ui.runStateLabel.text
        panel.ui.resumeRunButton.click()
        wait_for_commands(second)
        wait_until(lambda: state(second) == "running" and second.session.run().pulse, "the run")
        assert len(second.session.runs()) == 2
        os.kill(second.session.run().pulse.pid, signal.SIGKILL)
        wait_until(lambda: state(second) == "interrupted", "the kill to be seen")
        assert panel.ui.resumeRunButton.enabled


def test_a_run_from_the_command_line_looks_the_same(panels: Any, tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(COHORT.format(count=1), encoding="utf-8")
    assert main(["recipe", "run", str(path), "--store", str(tmp_path / "store")]) == 0
    panels.refresh()
    ui = panels.panels["Run"].ui
    assert stage_states(panels) == ["done"]
    assert "has ended" in ui.runStateLabel.text
    assert ui.runStagesTable.thing.item(0, 1).text() == "phantom-cohort"


def test_mistakes_of_the_recipe_are_told_below_the_tabs(panels: Any, tmp_path: Path) -> None:
    choose_people(panels, tmp_path, 1)
    path = tmp_path / "people.toml"
    path.write_text(COHORT.format(count='"many"'), encoding="utf-8")
    panels.panels["Run"].start()
    wait_for_commands(panels)
    assert "whole number" in panels.ui.trainStateLabel.text
    assert panels.session.runs() == ()


def test_a_failure_says_what_to_do(panels: Any, tmp_path: Path) -> None:
    broken = RECIPE.replace('input = "made"', 'input = "made"\nfail_on = "case1"', 1)
    with pytest.raises(InputError):
        run_fake(tmp_path, broken)
    (run,) = runs_of(tmp_path / "store")
    content = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    content["error"]["hint"] = "Remove that case."
    (run.folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    panels.refresh()
    ui = panels.panels["Run"].ui
    assert not ui.runErrorFrame.isHidden()
    assert ui.runErrorLabel.text == "case1 is broken\nRemove that case."
    assert stage_states(panels)[1:3] == ["failed", "waiting"]
    assert ui.resumeRunButton.enabled


def test_curves_are_plot_nodes_that_follow_the_file(panels: Any, tmp_path: Path) -> None:
    run_fake(tmp_path)
    panel = panels.panels["Run"]
    panels.refresh()
    assert not panel.ui.showCurvesButton.enabled
    network = panels.session.run().stage("counted").folders[0]
    (network / "notes" / "curve.csv").write_text(CURVE, encoding="utf-8")
    panels.refresh()
    assert panel.ui.showCurvesButton.enabled
    chart = panel.showCurves()
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    series = {chart.GetNthPlotSeriesNode(n).GetYColumnName() for n in range(2)}
    assert series == {"loss", "validation"}
    table = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert [table.GetColumnByName("loss").GetValue(n) for n in range(2)] == [2.0, 1.5]
    with (network / "notes" / "curve.csv").open("a", encoding="utf-8") as file:
        file.write("30,1.0,0.1,c,0.5,0.6\n")
    assert panel.showCurves() is chart
    table = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert table.GetNumberOfRows() == 3
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2


def test_the_log_is_copied(panels: Any, tmp_path: Path) -> None:
    run_fake(tmp_path)
    panels.refresh()
    panels.panels["Run"].ui.copyRunLogButton.click()
    assert "counted: done" in slicer.app.clipboard().text()
