"""The tabs of FlareMRTrain together: one run for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.runner import RunOptions, run_recipe
from FlareMRCore.progress import SilentReporter
from Testing.core.pipeline.recipe_fakes import RECIPE, STAGES, fake_recipe
from Testing.mrml.train_panels import TABS, train_panels


@pytest.fixture
def panels(application: Any, scene: Any, tmp_path: Path) -> Iterator[Any]:
    with train_panels(application, tmp_path / "store") as found:
        yield found


def run_fake(folder: Path, text: str = RECIPE) -> None:
    recipe = fake_recipe(folder, text)
    store = ArtifactStore(folder / "store")
    run_recipe(recipe, None, store, SilentReporter(), RunOptions(stages=STAGES))


def test_every_tab_opens_without_a_run(panels: Any) -> None:
    for name in TABS:
        panels.openTab(name)
        assert panels.visiblePanel() is panels.panels[name]
    assert panels.session.run() is None
    assert panels.ui.runComboBox.count == 1


def test_a_run_from_elsewhere_is_listed_and_shown(panels: Any, tmp_path: Path) -> None:
    run_fake(tmp_path)
    panels.ui.refreshRunsButton.click()
    assert panels.ui.runComboBox.count == 2
    assert "fake paper" in panels.ui.runComboBox.itemText(1)
    run = panels.session.run()
    assert (run.recipe, run.state) == ("fake", "done")
    for name in TABS:
        panels.openTab(name)
        panels.visiblePanel().refresh(run)


def test_a_failed_run_is_shown_in_every_tab(panels: Any, tmp_path: Path) -> None:
    broken = RECIPE.replace('input = "made"', 'input = "made"\nfail_on = "case1"', 1)
    with pytest.raises(InputError):
        run_fake(tmp_path, broken)
    run = panels.session.run()
    assert run.state == "failed"
    for name in TABS:
        panels.openTab(name)
        panels.visiblePanel().refresh(run)


def test_the_chosen_run_is_kept_in_the_parameter_node(panels: Any, tmp_path: Path) -> None:
    run_fake(tmp_path)
    run_fake(tmp_path)
    panels.refresh()
    newest, oldest = panels.session.runs()
    panels.ui.runComboBox.thing.setCurrentIndex(2)
    panels.ui.runComboBox.thing.activated.emit(2)
    assert panels.session.parameterNode.runFolder == str(oldest.folder)
    assert panels.session.run().folder == oldest.folder
    panels.session.chooseRun(None)
    assert panels.session.run().folder == newest.folder


def test_another_store_is_remembered(panels: Any, tmp_path: Path) -> None:
    panels.ui.storePathEdit.currentPath = str(tmp_path / "other")
    assert panels.session.store() == tmp_path / "other"
    panels.session.parameterNode.storeFolder = ""
    assert panels.session.store() == tmp_path / "other"


def test_panels_let_go_when_the_scene_closes(panels: Any) -> None:
    panels.setParameterNode(None)
    for name in TABS:
        panels.openTab(name)
    assert panels.session.parameterNode is None
