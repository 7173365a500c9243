"""The tab Look on real MRML: pairs over each other and beside each other, and filter tables."""

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

from FlareMRCore.data.volume_io import read_volume
from Testing.core.pipeline.sight_cases import run_sights
from Testing.mrml.train_panels import train_panels, wait_for_commands


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was made elsewhere; nothing here changes it."""
    folder = tmp_path_factory.mktemp("made")
    run_sights(folder)
    return folder / "store"


@pytest.fixture
def look(
    application: Any, scene: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: None, raising=False)
    add_views()
    with train_panels(application, store) as panels:
        panels.openTab("Look")
        panels.refresh()
        wait_for_commands(panels)
        yield panels.panels["Look"]


def add_views() -> None:
    """Views as Slicer's application makes them."""
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
    for name in ("Red", "Yellow"):
        for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
            slicer.mrmlScene.AddNewNodeByClass(kind).SetLayoutName(name)
    views()["Yellow"][0].SetOrientation("Sagittal")


def views() -> dict[str, tuple[Any, Any]]:
    """Slice node and composite node of each view."""
    found: dict[str, list[Any]] = {}
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
        for node in slicer.util.getNodesByClass(kind):
            found.setdefault(node.GetLayoutName(), []).append(node)
    return {name: (nodes[0], nodes[1]) for name, nodes in found.items()}


def volume(node_id: str) -> np.ndarray:
    return slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(node_id))


def choose(look: Any, kind: str) -> None:
    combo = look.ui.lookKindComboBox
    index = combo.findData(kind)
    combo.thing.setCurrentIndex(index)
    combo.thing.activated.emit(index)


def test_the_latest_fake_is_shown_over_its_source(look: Any) -> None:
    choose(look, "fake")
    (sight,) = look.visible()
    look.ui.lookFadeSlider.value = 0.25
    look.ui.showLookButton.click()
    _, composite = views()["Red"]
    assert np.array_equal(
        volume(composite.GetBackgroundVolumeID()), read_volume(sight["background"]).array
    )
    assert np.array_equal(
        volume(composite.GetForegroundVolumeID()), read_volume(sight["foreground"]).array
    )
    assert composite.GetForegroundOpacity() == 0.25
    look.ui.lookFadeSlider.value = 0.75
    assert composite.GetForegroundOpacity() == 0.75
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert "fake" in look.ui.lookNoteLabel.text


def test_two_images_beside_each_other_and_back(look: Any) -> None:
    choose(look, "fake")
    look.show()
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    look.ui.lookBesideCheckBox.checked = True
    assert layout.GetViewArrangement() == layout.SlicerLayoutSideBySideView
    (red, left), (yellow, right) = views()["Red"], views()["Yellow"]
    assert left.GetBackgroundVolumeID() != right.GetBackgroundVolumeID()
    assert (
        volume(left.GetBackgroundVolumeID())[0, 0, 0]
        == -volume(right.GetBackgroundVolumeID())[0, 0, 0]
    )
    assert (red.GetOrientation(), yellow.GetOrientation()) == ("Axial", "Axial")
    look.ui.lookBesideCheckBox.checked = False
    assert layout.GetViewArrangement() == before
    assert yellow.GetOrientation() == "Sagittal"
    assert left.GetForegroundVolumeID() == right.GetForegroundVolumeID() is not None


def test_only_what_is_shown_stays_in_the_scene(look: Any) -> None:
    choose(look, "registration")
    assert look.ui.lookTable.rowCount == 2
    for row in (0, 1, 0):
        assert look.show(row)
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
    assert "similarity" in look.ui.lookNoteLabel.text
    assert not look.show(2)
    look.close()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_kind_that_the_run_has_not_made_is_told(look: Any) -> None:
    choose(look, "labels")
    assert look.ui.lookTable.rowCount == 0
    assert not look.ui.showLookButton.enabled
    assert "nothing of this kind" in look.ui.lookNoteLabel.text
    assert not look.show()


def test_filters_are_shown_by_sequence_organ_and_case(look: Any) -> None:
    ui = look.ui
    assert ui.lookFilterComboBox.currentData == "kept"
    assert ui.lookFilterLabel.text == "2 of 3 pseudo-labels were kept."

    def cells(table: Any, row: int) -> list[str]:
        return [table.thing.item(row, n).text() for n in range(table.columnCount)]

    assert [cells(ui.lookSequencesTable, n) for n in range(3)] == [
        ["ct", "1", "0"],
        ["T2", "0", "1"],
        ["V", "1", "0"],
    ]
    assert cells(ui.lookOrgansTable, 0) == ["liver", "2", "1", "volume-high: 1"]
    assert cells(ui.lookCasesTable, 1) == [
        "phantom-1001-t2",
        "T2",
        "rejected",
        "liver: 9 mL is too much.",
    ]


def test_a_damaged_image_is_told_not_shown(look: Any, tmp_path: Path) -> None:
    told: list[str] = []
    look.session.stateText.connect(told.append)
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    look.sights = [{**look.sights[0], "background": str(tmp_path / "broken.nii.gz")}]
    choose(look, str(look.sights[0]["kind"]))
    assert not look.show()
    assert "broken.nii.gz" in told[-1]
