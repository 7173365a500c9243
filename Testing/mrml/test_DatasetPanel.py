"""The tab Dataset: import of folders and volumes, table, check, split, loading of a case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
import slicer
import slicer.util

from FlareMRCore.cli.main import main
from FlareMRCore.data.dataset_manifest import load_dataset
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from Testing.mrml.train_panels import InProcess, train_panels, wait_for_commands

GRID = Geometry((6, 20, 20), (5.0, 4.0, 4.0))


@pytest.fixture
def panels(
    application: Any, scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    # Slice views exist in the application only.
    monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **_layers: None)
    with train_panels(application, tmp_path / "store", InProcess) as found:
        found.openTab("Dataset")
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases; the labels of the last one lie upside down."""
    found = tmp_path / "images"
    found.mkdir()
    for number in range(3):
        array = np.random.default_rng(number).normal(100, 20, GRID.shape).astype(np.float32)
        write_volume(found / f"case{number}_mr.nii.gz", Volume(array, GRID))
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:4, 2:9, 10:18] = organ_table().by_id("liver").value
        labels[1:3, 2:6, 1:5] = organ_table().by_id("spleen").value
        if number == 2:
            labels = labels[:, :, ::-1]
        label_map = LabelMap(np.ascontiguousarray(labels), GRID, organ_table())
        write_label_map(found / f"case{number}_label.nii.gz", label_map)
    return found


def texts(table: Any, column: int) -> list[str]:
    return [table.thing.item(row, column).text() for row in range(table.rowCount)]


def test_a_folder_is_imported_and_a_case_is_loaded(panels: Any, folder: Path) -> None:
    panel, node = panels.panels["Dataset"], panels.session.parameterNode
    panels.session.dialogs.path = folder
    panel.ui.importFolderButton.click()
    wait_for_commands(panels)
    assert node.manifest == str(folder / "flaremr-dataset.json")
    table = panel.ui.casesTable
    assert texts(table, 0) == ["case0", "case1", "case2"]
    assert texts(table, 5) == ["liver, spleen"] * 3
    assert set(texts(table, 6)) == {"train", "validate"}
    table.thing.cellDoubleClicked.emit(1, 0)
    volume = slicer.util.getNode("case1 MR")
    segmentation = slicer.util.getNode("case1 labels")
    assert slicer.util.arrayFromVolume(volume).shape == GRID.shape
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2


def test_the_check_lists_all_problems_and_draws_the_sheet(panels: Any, folder: Path) -> None:
    panel = panels.panels["Dataset"]
    assert panel.importFolder(folder)
    wait_for_commands(panels)
    panel.ui.checkDatasetButton.click()
    wait_for_commands(panels)
    assert "case2" in texts(panel.ui.problemsTable, 1)
    assert texts(panel.ui.casesTable, 7)[2]
    assert panel.ui.problemsLabel.text
    assert panel.sheet.is_file()
    assert panel.ui.showSheetButton.enabled


def test_a_split_is_by_patient_and_saved(panels: Any, folder: Path) -> None:
    panel = panels.panels["Dataset"]
    assert panel.importFolder(folder)
    wait_for_commands(panels)
    panel.ui.splitSharesEdit.text = "train=0.34, validate=0.33, test=0.33"
    panel.ui.splitButton.click()
    wait_for_commands(panels)
    assert sorted(texts(panel.ui.casesTable, 6)) == ["test", "train", "validate"]
    dataset = load_dataset(folder / "flaremr-dataset.json")
    assert set(dataset.splits["default"]) == {"train", "validate", "test"}
    panel.ui.splitSharesEdit.text = "train"
    panel.ui.splitButton.click()
    wait_for_commands(panels)
    assert "no shares" in panels.ui.trainStateLabel.text


def test_volumes_of_the_scene_become_a_data_set(panels: Any, folder: Path, tmp_path: Path) -> None:
    from FlareMRTrainLib.TrainScene import addLabels, addVolume

    volume = addVolume(folder / "case0_mr.nii.gz", "first CT")
    addLabels(folder / "case0_label.nii.gz", "labels", volume)
    addVolume(folder / "case1_mr.nii.gz", "second")
    panel = panels.panels["Dataset"]
    panel.ui.listSceneButton.click()
    assert texts(panel.ui.sceneCasesTable, 2) == ["CT", "MR"]
    panel.ui.sceneCasesTable.thing.item(1, 1).setText("person-2")
    output = tmp_path / "from scene"
    output.mkdir()
    panels.session.dialogs.path = output
    panel.ui.importSceneButton.click()
    wait_for_commands(panels)
    first, second = load_dataset(output / "flaremr-dataset.json").cases
    assert (first.modality, first.domain, first.annotated) == ("CT", "source", ("liver", "spleen"))
    assert (second.patient_id, second.domain, second.label_map) == ("person-2", "target", None)
    assert main(["dataset", "check", panels.session.parameterNode.manifest]) == 0


def test_a_bad_folder_is_refused_in_words(panels: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert panels.panels["Dataset"].importFolder(empty)
    wait_for_commands(panels)
    assert "no image" in panels.ui.trainStateLabel.text
    assert panels.session.parameterNode.manifest == ""


def test_a_missing_case_is_told(panels: Any, folder: Path) -> None:
    panel = panels.panels["Dataset"]
    assert panel.importFolder(folder)
    wait_for_commands(panels)
    (folder / "case1_mr.nii.gz").unlink()
    assert panel.loadCase(1) is None
    assert "case1_mr.nii.gz" in panels.ui.trainStateLabel.text
