"""The tab Review on real MRML: a queue, decisions, corrections, and what the next round gets."""

from __future__ import annotations

import shutil
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

from FlareMRCore.data.dataset import verify_files
from FlareMRCore.data.dataset_manifest import load_dataset
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.pipeline.run_reading import runs_of
from Testing.core.pipeline.review_cases import run_reviewed
from Testing.mrml.train_panels import train_panels, wait_for_commands

SPLEEN = organ_table().by_id("spleen").value


@pytest.fixture
def panels(
    application: Any, scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: None, raising=False)
    with train_panels(application, tmp_path / "store") as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run up to its pack; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    run_reviewed(folder, until="packed")
    return folder / "store"


@pytest.fixture
def review(panels: Any, made: Path, tmp_path: Path) -> Any:
    """The panel with the queue of a run that was made elsewhere."""
    shutil.copytree(made, tmp_path / "store")
    panels.openTab("Review")
    panels.refresh()
    wait_for_commands(panels)
    return panels.panels["Review"]


def count(class_name: str) -> int:
    return int(slicer.mrmlScene.GetNumberOfNodesByClass(class_name))


def paint(review: Any, case: str, organ: str) -> np.ndarray:
    """Paint a box as `organ` into the labels of the case, as a user does; where it is."""
    node, image = review.scene.segmentation(case), review.scene.image(case)
    box = np.zeros(slicer.util.arrayFromVolume(image).shape, np.uint8)
    box[1:3, 2:5, 6:9] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(box, node, organ, image)
    return box > 0


def packed(store: Path) -> set[str]:
    """Cases in the pack of the newest run."""
    stage = runs_of(store)[0].stage("packed")
    assert stage is not None
    return {p.name.partition(".")[0] for p in stage.folders[0].glob("phantom*")}


def test_the_queue_is_listed_by_doubt(review: Any) -> None:
    doubts = [float(item["doubt"]) for item in review.items]
    assert doubts == sorted(doubts, reverse=True)
    ui = review.ui
    assert ui.reviewTable.rowCount == 3
    assert ui.reviewStageComboBox.currentData == "pseudo"
    assert "Nobody has reviewed" in ui.reviewSummaryLabel.text
    assert not ui.acceptReviewButton.enabled
    ui.reviewTable.selectRow(0)
    assert "liver: In several pieces." in ui.reviewCaseLabel.text
    assert ui.acceptReviewButton.enabled
    assert not ui.correctReviewButton.enabled
    assert not ui.undoReviewButton.enabled


def test_a_case_is_loaded_with_a_segment_for_each_organ(review: Any) -> None:
    assert review.load(1)
    item = review.items[1]
    node = review.scene.segmentation(item["case"])
    assert node.GetSegmentation().GetNumberOfSegments() == len(organ_table())
    image = review.scene.image(item["case"])
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", image)
    assert np.array_equal(liver > 0, read_label_map(item["labels"]).array == 1)
    assert review.ui.correctReviewButton.enabled
    assert review.loadNext()
    assert not node.GetDisplayNode().GetVisibility()
    assert not review.loadNext()
    assert review.loadPrevious()
    assert node.GetDisplayNode().GetVisibility()
    assert count("vtkMRMLSegmentationNode") == 2


def test_the_next_round_honors_what_was_rejected_and_corrected(
    review: Any, panels: Any, tmp_path: Path
) -> None:
    before = packed(tmp_path / "store")
    ui = review.ui
    rejected = str(review.items[0]["case"])
    review.load(0)
    ui.reviewNoteEdit.text = "two livers"
    ui.rejectReviewButton.click()
    wait_for_commands(panels)
    assert ui.reviewNoteEdit.text == ""
    corrected = str(review.current()["case"])
    assert corrected != rejected
    assert review.scene.segmentation(rejected) is None
    assert count("vtkMRMLScalarVolumeNode") == 1

    where = paint(review, corrected, "spleen")
    liver = read_label_map(review.current()["labels"]).array == 1
    ui.correctReviewButton.click()
    wait_for_commands(panels)
    decisions = {item["case"]: item["decision"] for item in review.items if item["decision"]}
    assert {case: d["kind"] for case, d in decisions.items()} == {
        rejected: "reject",
        corrected: "correct",
    }
    assert decisions[rejected]["note"] == "two livers"
    assert "2 of 3 reviewed" in ui.reviewSummaryLabel.text

    after = run_reviewed(tmp_path, until="packed")
    assert before - packed(tmp_path / "store") == {rejected}
    cases = {case.case_id: case for case in after.outcomes["reviewed"].cases}
    assert cases[rejected].label_map is None
    assert cases[corrected].label_source == "corrected"
    array = read_label_map(cases[corrected].label_map.path).array
    assert np.array_equal(array == SPLEEN, where)
    assert np.array_equal(array == 1, liver & ~where)


def test_a_correction_is_shown_again_and_undo_brings_the_pseudo_label_back(
    review: Any, panels: Any
) -> None:
    ui = review.ui
    ui.reviewNextCheckBox.checked = False
    review.load(0)
    case = str(review.items[0]["case"])
    where = paint(review, case, "spleen")
    ui.correctReviewButton.click()
    wait_for_commands(panels)
    assert str(review.current()["case"]) == case
    review.scene.release(case)
    assert review.load(0)
    shown = review.scene.segmentation(case), "spleen", review.scene.image(case)
    assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(*shown) > 0, where)
    assert ui.undoReviewButton.enabled
    ui.undoReviewButton.click()
    wait_for_commands(panels)
    assert review.items[0]["decision"] is None
    shown = review.scene.segmentation(case), "spleen", review.scene.image(case)
    assert not slicer.util.arrayFromSegmentBinaryLabelmap(*shown).any()


def test_an_accepted_case_leads_to_the_next_undecided_one(review: Any, panels: Any) -> None:
    ui = review.ui
    ui.reviewTable.selectRow(2)
    ui.acceptReviewButton.click()
    wait_for_commands(panels)
    assert review.items[2]["decision"]["kind"] == "accept"
    assert review.current() == review.items[0]
    assert count("vtkMRMLScalarVolumeNode") == 0


def test_the_editor_gets_labels_and_image(review: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from FlareMRTrainLib import ReviewScene

    opened: list[Any] = []
    monkeypatch.setattr(ReviewScene, "openSegmentEditor", lambda *nodes: opened.extend(nodes))
    review.ui.reviewTable.selectRow(1)
    review.ui.editReviewButton.click()
    case = str(review.items[1]["case"])
    assert opened == [review.scene.segmentation(case), review.scene.image(case)]


def test_another_stage_or_run_has_another_queue(review: Any, panels: Any, tmp_path: Path) -> None:
    combo = review.ui.reviewStageComboBox
    assert (combo.count, combo.currentData) == (2, "pseudo")
    combo.thing.setCurrentIndex(1)
    combo.thing.activated.emit(1)
    wait_for_commands(panels)
    assert combo.currentData == "largest"
    assert {item["stage"] for item in review.items} == {"largest"}
    run_reviewed(tmp_path, until="cohort")
    panels.refresh()
    wait_for_commands(panels)
    assert len(review.items) == 0
    assert "no pseudo-labels" in review.ui.reviewSummaryLabel.text


def test_a_closed_scene_ends_the_editing(review: Any, panels: Any) -> None:
    review.load(0)
    case = str(review.items[0]["case"])
    old = review.scene.segmentation(case).GetID()
    panels.setParameterNode(None)
    slicer.mrmlScene.Clear(True)
    # A new scene gives the same identifiers to other nodes.
    assert slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode").GetID() == old
    review.ui.reviewTable.selectRow(0)
    assert not review.ui.correctReviewButton.enabled
    assert review.scene.segmentation(case) is None
    assert not review.correct()


def test_a_result_of_the_other_module_is_offered_not_added(
    review: Any, panels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from FlareMRSegLib import TrainModule

    widget = SimpleNamespace(panels=panels)
    representation = SimpleNamespace(self=lambda: widget)
    module = SimpleNamespace(widgetRepresentation=lambda: representation)
    opened: list[str] = []
    monkeypatch.setattr(slicer.modules, "flaremrtrain", module, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    panels.openTab("Run")
    review.load(0)
    node = review.scene.segmentation(str(review.items[0]["case"]))
    TrainModule.offerTrainingCase(node)
    assert opened == ["FlareMRTrain"]
    assert panels.visiblePanel() is review
    assert review.ui.addCaseSelector.currentNode() is node
    assert not review.ui.addCaseGroup.collapsed
    assert not panels.session.isBusy()


def test_a_correction_joins_a_data_set_only_if_asked(
    review: Any, panels: Any, tmp_path: Path
) -> None:
    ui = review.ui
    assert not ui.addCaseButton.enabled
    assert "segmentation" in ui.addCaseButton.toolTip
    review.load(0)
    case = str(review.items[0]["case"])
    ui.addCaseSelector.setCurrentNode(review.scene.segmentation(case))
    assert "data set" in ui.addCaseButton.toolTip
    ui.addCaseManifestEdit.currentPath = str(tmp_path / "mine.json")
    ui.addCasePatientEdit.text = "p7"
    ui.addCaseSequenceEdit.text = "t2"
    assert ui.addCaseButton.enabled
    ui.addCaseButton.click()
    wait_for_commands(panels)
    dataset = load_dataset(tmp_path / "mine.json")
    verify_files(dataset)
    (added,) = dataset.part("default", "train")
    assert (added.case_id, added.patient_id, added.label_source) == (case, "p7", "corrected")
    assert added.label_map is not None
    array = read_label_map(dataset.path_of(added.label_map)).array
    assert np.array_equal(array, read_label_map(review.items[0]["labels"]).array)
