"""The tab Look: shows what a run makes: images, pseudo-labels, registrations, filter reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import slicer
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.BesideView import BesideView
from FlareMRTrainLib.OwnNodes import OwnNodes
from FlareMRTrainLib.ReviewCommands import lookWords
from FlareMRTrainLib.RunList import RunList
from FlareMRTrainLib.States import COLORS
from FlareMRTrainLib.TrainScene import showInSlices
from FlareMRTrainLib.TrainSession import TrainSession


class LookPanel:
    """Shows what a run makes: images, pseudo-labels, registrations, filter reports.

    Args:
        ui: widgets of FlareMRTrainLook.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.sights: Sequence[Mapping[str, Any]] = ()
        self.filters: Sequence[Mapping[str, Any]] = ()
        self.list = RunList(
            session, _("Looking at the run"), lambda run: lookWords(run.folder), self._onRead
        )
        self._nodes = OwnNodes()
        self._beside = BesideView()
        self._shown: tuple[Any, Any] = (None, None)
        for kind, title in kindTitles().items():
            ui.lookKindComboBox.addItem(title, kind)
        ui.lookKindComboBox.connect("activated(int)", self._onKind)
        ui.refreshLookButton.connect("clicked()", self.list.read)
        ui.lookTable.connect("cellDoubleClicked(int,int)", self._onCell)
        ui.showLookButton.connect("clicked()", self.show)
        ui.lookBesideCheckBox.connect("toggled(bool)", self._onBeside)
        ui.lookFadeSlider.connect("valueChanged(double)", self.fade)
        ui.lookFilterComboBox.connect("activated(int)", self._onFilter)
        session.changed.connect(self._onChanged)
        self._onRead({})

    def refresh(self, run: RunReading | None) -> None:
        """Show `run`: the tab became visible, another run was chosen, or its files changed."""
        self.list.refresh(run)

    def visible(self) -> list[Mapping[str, Any]]:
        """What the run has of the chosen kind, the latest first."""
        kind = str(self.ui.lookKindComboBox.currentData)
        return [sight for sight in self.sights if sight["kind"] == kind]

    def show(self, row: int | None = None) -> bool:
        """Show a row, by default the selected one, else the latest; whether that was possible."""
        known = self.visible()
        chosen = row if row is not None else max(selectedRow(self.ui.lookTable), 0)
        if not 0 <= chosen < len(known):
            return False
        self._nodes.remove()
        try:
            self._shown = self._load(known[chosen])
        except FlareMRError as error:
            self.session.stateText.emit(str(error))
            return False
        self.ui.lookTable.selectRow(chosen)
        self.ui.lookNoteLabel.text = sightText(known[chosen])
        self._showViews()
        return True

    def fade(self, share: float) -> None:
        """Show so much of the second image: 0 none of it, 1 nothing but it."""
        if self._shown[1] is not None and not self.ui.lookBesideCheckBox.checked:
            slicer.util.setSliceViewerLayers(foregroundOpacity=share)

    def close(self) -> None:
        """The module is reloaded, or the scene is closed: let go of nodes and observers."""
        self._beside.end()
        self._nodes.remove()
        self._shown = (None, None)

    def _load(self, sight: Mapping[str, Any]) -> tuple[Any, Any]:
        """Nodes of the first and the second image; labels lie over the first."""
        name = str(sight["case"])
        titles = imageTitles(str(sight["kind"]))
        first = self._nodes.addVolume(Path(sight["background"]), f"{name} {titles[0]}")
        second = None
        if sight["foreground"]:
            second = self._nodes.addVolume(Path(sight["foreground"]), f"{name} {titles[1]}")
        if sight["labels"]:
            self._nodes.addLabels(
                Path(sight["labels"]), _("{name} labels").format(name=name), first
            )
        return first, second

    def _showViews(self) -> None:
        first, second = self._shown
        if first is None:
            return
        if second is not None and self.ui.lookBesideCheckBox.checked:
            self._beside.show(first, second)
            return
        self._beside.end()
        showInSlices(first, second, float(self.ui.lookFadeSlider.value))

    def _onRead(self, content: Mapping[str, Any]) -> None:
        self.sights = [{**s, "case": s["case_id"]} for s in content.get("sights", ())]
        self.filters = content.get("filters", ())
        self._fillSights()
        combo = self.ui.lookFilterComboBox
        index = max(combo.currentIndex, 0)
        combo.clear()
        for summary in self.filters:
            combo.addItem(f"{summary['stage_id']} ({summary['filter']})", summary["stage_id"])
        if index < len(self.filters):
            combo.setCurrentIndex(index)
        self._fillFilter()

    def _fillSights(self) -> None:
        headers = (_("Stage"), _("Case"), _("Sequence"), _("Made"))
        rows = [
            (s["stage_id"], s["case"], s["sequence"], str(s["finished"])[:19].replace("T", " "))
            for s in self.visible()
        ]
        fillTable(self.ui.lookTable, headers, rows)
        self.ui.showLookButton.enabled = bool(rows)
        if not rows:
            self.ui.lookNoteLabel.text = _("The run has made nothing of this kind yet.")

    def _fillFilter(self) -> None:
        ui, index = self.ui, self.ui.lookFilterComboBox.currentIndex
        summary = self.filters[index] if 0 <= index < len(self.filters) else None
        ui.lookFilterLabel.text = filterText(summary)
        rows = summary or {"sequences": (), "organs": (), "cases": ()}
        fillTable(
            ui.lookSequencesTable, (_("Sequence"), _("Kept"), _("Rejected")), rows["sequences"]
        )
        headers = (_("Organ"), _("Passed"), _("Failed"), _("Rules"))
        fillTable(ui.lookOrgansTable, headers, rows["organs"])
        cases = [(c, s, _("kept") if k else _("rejected"), why) for c, s, k, why in rows["cases"]]
        fillTable(ui.lookCasesTable, (_("Case"), _("Sequence"), _("Labels"), _("Why")), cases)
        for number, case in enumerate(rows["cases"]):
            if not case[2]:
                colorRow(ui.lookCasesTable, number, COLORS["warning"])

    def _onChanged(self) -> None:
        if self.session.parameterNode is None:  # the scene goes, and identifiers are used again
            self.close()

    def _onKind(self, _index: int) -> None:
        self._fillSights()

    def _onFilter(self, _index: int) -> None:
        self._fillFilter()

    def _onCell(self, row: int, _column: int) -> None:
        self.show(row)

    def _onBeside(self, _isBeside: Any) -> None:
        self._showViews()


def kindTitles() -> dict[str, str]:
    """What people read for each kind of sight."""
    return {
        "fake": _("Fake MR beside its CT"),
        "labels": _("Pseudo-labels over the image"),
        "registration": _("Fixed and warped images"),
    }


def imageTitles(kind: str) -> tuple[str, str]:
    """What the first and the second image of a sight are."""
    titles = {
        "fake": (_("source"), _("fake")),
        "labels": (_("image"), _("image")),
        "registration": (_("fixed"), _("warped")),
    }
    return titles[kind]


def sightText(sight: Mapping[str, Any]) -> str:
    """What is shown, in a sentence."""
    first, second = imageTitles(str(sight["kind"]))
    texts = [f"{sight['case']}: {first}" + (f" / {second}." if sight["foreground"] else ".")]
    return " ".join([*texts, str(sight["note"])]).strip()


def filterText(summary: Mapping[str, Any] | None) -> str:
    """How many pseudo-labels a filter kept, in a sentence."""
    if summary is None:
        return _("The run has no filter of pseudo-labels yet.")
    kept = sum(1 for case in summary["cases"] if case[2])
    text = _("{kept} of {total} pseudo-labels were kept.")
    return text.format(kept=kept, total=len(summary["cases"]))
