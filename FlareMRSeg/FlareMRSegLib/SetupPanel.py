"""The tab Setup: what is there, what is missing, and installing it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer

from FlareMRSegLib.ChosenPython import choosePython, chosenPython
from FlareMRSegLib.DependencyInstaller import (
    COMPONENTS,
    MISSING,
    OK,
    WARNING,
    WEIGHTS,
    DependencyInstaller,
    StatusRow,
)
from FlareMRSegLib.Job import JobError
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

COLORS = {OK: "#d6efd6", WARNING: "#ffe2b0", MISSING: "#f6cccc"}


class SetupPanel:
    """Shows the rows of the installer and what to do about them.

    Signals: `changed` (): it was looked again; `weightsWanted` ().

    Args:
        ui: widgets of FlareMRSegSetup.ui.
        installer: knows what there is.
    """

    def __init__(self, ui: Any, installer: DependencyInstaller) -> None:
        self.ui = ui
        self.installer = installer
        self.changed = Signal("")
        self.weightsWanted = Signal("")
        self.isChecking = False
        self._wantsReport = False
        installer.refreshed.connect(self._onRefreshed)
        installer.failed.connect(self._onFailed)
        ui.checkSetupButton.connect("clicked()", self.refresh)
        ui.installButton.connect("clicked()", self.installSelected)
        ui.doctorButton.connect("clicked()", self.copyReport)
        ui.setupTable.connect("itemSelectionChanged()", self._showState)
        ui.pythonEdit.currentPath = chosenPython()
        ui.pythonEdit.connect("currentPathChanged(QString)", self._onPython)
        self._showState()

    def refresh(self) -> None:
        """Look again."""
        self.isChecking = True
        self.ui.setupStageLabel.text = _("Looking...")
        self._showState()
        self.installer.refresh()

    def install(self, rowId: str) -> bool:
        """Install what a row stands for, after one question; whether it was done."""
        if rowId == WEIGHTS:
            self.weightsWanted.emit()
            return False
        self.ui.setupStageLabel.text = _("Installing...")
        isDone = False
        with slicer.util.tryWithErrorDisplay(_("The installation failed."), waitCursor=True):
            isDone = self.installer.install(rowId)
        self.ui.setupStageLabel.text = _("Installed.") if isDone else ""
        if isDone:
            self.refresh()
        return isDone

    def installPackages(self) -> bool:
        """Install the packages that Slicer lacks."""
        return self.install(COMPONENTS)

    def installSelected(self) -> None:
        """Install the selected row, or else the first one that is missing."""
        row = self._chosen()
        if row is not None:
            self.install(row.id)

    def copyReport(self) -> None:
        """Put the report on the clipboard; looks first if nobody has."""
        text = self.installer.reportText()
        if text:
            slicer.app.clipboard().setText(text)
            self.ui.setupStageLabel.text = _("The report is on the clipboard.")
        else:
            self._wantsReport = True
            self.refresh()

    def _onRefreshed(self, rows: Sequence[StatusRow]) -> None:
        self._onEnded("")
        words = {OK: _("ready"), WARNING: _("look"), MISSING: _("missing")}
        cells = [(row.title, words.get(row.state, _("unknown")), row.text) for row in rows]
        fillTable(self.ui.setupTable, (_("What"), _("State"), _("Details")), cells)
        for number, row in enumerate(rows):
            if row.state in COLORS:
                colorRow(self.ui.setupTable, number, COLORS[row.state])
        self._showState()
        self.changed.emit()
        if self._wantsReport:
            self._wantsReport = False
            self.copyReport()

    def _onFailed(self, error: JobError) -> None:
        self._onEnded(f"{error.message} {error.hint}".strip())

    def _onEnded(self, text: str) -> None:
        self.isChecking = False
        self.ui.setupStageLabel.text = text
        self._showState()

    def _chosen(self) -> StatusRow | None:
        rows = self.installer.rows
        number = selectedRow(self.ui.setupTable)
        if 0 <= number < len(rows) and _canHelp(rows[number]):
            return rows[number]
        return next((row for row in rows if _canHelp(row) and not row.isOptional), None)

    def _showState(self) -> None:
        rows = self.installer.rows
        row = self._chosen()
        self.ui.setupProgressBar.visible = self.isChecking
        self.ui.checkSetupButton.enabled = not self.isChecking
        self.ui.installButton.enabled = row is not None and not self.isChecking
        self.ui.installButton.text = (
            _("Install missing...") if row is None else _("{what}...").format(what=row.title)
        )
        if not rows:
            self.ui.setupLabel.text = ""
        elif self.installer.isReady():
            self.ui.setupLabel.text = _("Everything that a segmentation needs is there.")
        else:
            missing = [r.title for r in rows if r.state == MISSING and not r.isOptional]
            self.ui.setupLabel.text = _("Missing: {what}.").format(what=", ".join(missing))

    def _onPython(self, path: str) -> None:
        if not path or Path(path).is_file():
            choosePython(path)


def _canHelp(row: StatusRow) -> bool:
    return row.canInstall or (row.id == WEIGHTS and row.state == MISSING)
