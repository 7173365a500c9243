"""The tab Recipe: parameters with unit, default and origin; saved as TOML; states; cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
from FlareMRCore.cli.main import main
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from Testing.core.pipeline.recipe_texts import TWO
from Testing.mrml.train_panels import InProcess, train_panels, wait_for_commands

RECIPE = f"""{TWO}
[presets.mini.finer]
spacing_mm = [22.0, 22.0, 22.0]
"""


@pytest.fixture
def panels(application: Any, scene: Any, tmp_path: Path) -> Iterator[Any]:
    with train_panels(application, tmp_path / "store", InProcess) as found:
        found.openTab("Recipe")
        wait_for_commands(found)
        yield found


@pytest.fixture
def two(panels: Any, tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(RECIPE, encoding="utf-8")
    panels.panels["Recipe"].openFile(path)
    wait_for_commands(panels)
    return path


def cells(table: Any) -> list[list[str]]:
    columns = range(table.columnCount)
    return [[table.thing.item(r, c).text() for c in columns] for r in range(table.rowCount)]


def change(panels: Any, stage: str, name: str, text: str) -> None:
    table = panels.panels["Recipe"].ui.parametersTable
    (row,) = (n for n, row in enumerate(cells(table)) if row[:2] == [stage, name])
    table.thing.item(row, 2).setText(text)


def test_recipes_are_offered_with_their_description(panels: Any) -> None:
    panel = panels.panels["Recipe"]
    names = [panel.ui.recipeComboBox.itemText(n) for n in range(panel.ui.recipeComboBox.count)]
    assert "contrast-randomized" in names
    panel.choose("contrast-randomized", preset="mini")
    assert panel.ui.recipeDescriptionLabel.text
    wait_for_commands(panels)
    assert panel.ui.presetComboBox.currentText == "mini"
    table = cells(panel.ui.parametersTable)
    origins = {row[5] for row in table}
    assert {"default", "preset mini"} <= origins
    assert any(origin.startswith("training/") for origin in origins)
    assert any(row[3] == "mm" for row in table)


def test_publications_are_named(panels: Any) -> None:
    panel = panels.panels["Recipe"]
    panel.choose("li2024", preset="mini")
    wait_for_commands(panels)
    assert "http" in panel.ui.recipeDescriptionLabel.text
    table = panel.ui.recipeGraphTable
    helps = [table.thing.item(row, 0).toolTip() for row in range(table.rowCount)]
    assert any("http" in text for text in helps)


def test_graph_and_parameters_follow_preset_and_store(
    panels: Any, two: Path, tmp_path: Path
) -> None:
    panel = panels.panels["Recipe"]
    graph = cells(panel.ui.recipeGraphTable)
    assert [row[:4] for row in graph] == [
        ["cohort", "", "cases", "to do"],
        ["finer", "cohort", "cases", "waiting"],
    ]
    panel.choose(str(two), preset="mini")
    wait_for_commands(panels)
    (finer,) = (row for row in cells(panel.ui.parametersTable) if row[0] == "finer")
    assert finer[2:] == ["[22.0, 22.0, 22.0]", "mm", "", "preset mini"]
    assert main(["recipe", "run", str(two), "--store", str(tmp_path / "store")]) == 0
    panel.choose(str(two))
    wait_for_commands(panels)
    panel.ui.recipeStatesButton.click()
    wait_for_commands(panels)
    assert [row[3] for row in cells(panel.ui.recipeGraphTable)] == ["done", "done"]


def test_changes_are_saved_and_the_file_is_taken(panels: Any, two: Path, tmp_path: Path) -> None:
    panel = panels.panels["Recipe"]
    change(panels, "cohort", "spacing_mm", "30")
    assert "1 changes" in panel.ui.recipeChangesLabel.text
    panels.session.dialogs.path = tmp_path / "coarser.toml"
    panel.ui.saveRecipeButton.click()
    wait_for_commands(panels)
    assert panels.session.parameterNode.recipe == str(tmp_path / "coarser.toml")
    saved = load_recipe(str(tmp_path / "coarser.toml"))
    assert saved.stages[0].parameters.spacing_mm == 30.0  # type: ignore[attr-defined]
    assert saved.stages[1] == load_recipe(str(two)).stages[1]
    assert not panel.table.changes
    (row,) = (r for r in cells(panel.ui.parametersTable) if r[:2] == ["cohort", "spacing_mm"])
    assert row[2] == "30.0"


def test_another_data_set_keeps_the_changes(panels: Any, two: Path, tmp_path: Path) -> None:
    panel = panels.panels["Recipe"]
    change(panels, "cohort", "spacing_mm", "30")
    panels.session.parameterNode.dataFolder = str(tmp_path)
    panels.refresh()
    wait_for_commands(panels)
    assert panel.table.changes == {("cohort", "spacing_mm"): "30"}
    panel.choose(str(two), preset="mini")
    wait_for_commands(panels)
    assert not panel.table.changes


def test_a_recipe_that_cannot_be_read_shows_no_parameters(
    panels: Any, two: Path, tmp_path: Path
) -> None:
    panel = panels.panels["Recipe"]
    assert cells(panel.ui.parametersTable)
    (tmp_path / "bad.toml").write_text("name = ", encoding="utf-8")
    panel.openFile(tmp_path / "bad.toml")
    wait_for_commands(panels)
    assert "is not TOML" in panel.ui.recipeProblemLabel.text
    assert (cells(panel.ui.parametersTable), panel.ui.recipeGraphTable.rowCount) == ([], 0)
    assert not panel.ui.saveRecipeButton.enabled
    panel.openFile(two)
    wait_for_commands(panels)
    assert cells(panel.ui.parametersTable)
    assert panel.ui.recipeProblemLabel.text == ""
    panel.choose("")
    assert cells(panel.ui.parametersTable) == []


def test_all_mistakes_are_told_and_nothing_is_saved(panels: Any, two: Path, tmp_path: Path) -> None:
    panel = panels.panels["Recipe"]
    change(panels, "cohort", "spacing_mm", "wide")
    change(panels, "finer", "spacing_mm", "[1.0]")
    assert panel.save(tmp_path / "bad.toml")
    wait_for_commands(panels)
    text = panel.ui.recipeProblemLabel.text
    assert "'spacing_mm' should be a number, is 'wide'" in text
    assert "'spacing_mm' should have 3 values, has 1" in text
    assert not (tmp_path / "bad.toml").exists()
    assert panels.session.parameterNode.recipe == str(two)
    panel.ui.undoRecipeButton.click()
    assert not panel.table.changes
    assert "24.0" in {row[2] for row in cells(panel.ui.parametersTable)}


@pytest.mark.torch
def test_a_dry_run_tells_memory_and_hours(panels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("FlareMRCore.training.probe.step_seconds", lambda *_words, **_more: 36.0)
    panel = panels.panels["Recipe"]
    panel.choose("contrast-randomized", preset="mini")
    wait_for_commands(panels)
    panels.session.parameterNode.device = "cpu"
    panel.ui.dryRunButton.click()
    wait_for_commands(panels)
    assert "hours" in panel.ui.recipeCostLabel.text, panels.ui.trainStateLabel.text
    assert "GB" in panel.ui.recipeCostLabel.text
    assert panel.ui.recipeCostTable.rowCount >= 1
    rows = cells(panel.ui.recipeCostTable)
    assert all(row[5] == "36.00" for row in rows)
    hours = sum(float(row[6]) for row in rows)
    assert f"{hours:.1f} hours" in panel.ui.recipeCostLabel.text
