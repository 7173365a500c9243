"""Makes the panels and keeps the visible one up to date with the files of the run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Ticker import defaultTicker
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.DatasetPanel import DatasetPanel
from FlareMRTrainLib.LookPanel import LookPanel
from FlareMRTrainLib.RecipePanel import RecipePanel
from FlareMRTrainLib.ResultPanel import ResultPanel
from FlareMRTrainLib.ReviewPanel import ReviewPanel
from FlareMRTrainLib.RunPanel import RunPanel, stateText
from FlareMRTrainLib.States import stateWord
from FlareMRTrainLib.TrainParameterNode import FlareMRTrainParameterNode
from FlareMRTrainLib.TrainSession import TrainSession

PANELS = {
    "Dataset": DatasetPanel,
    "Recipe": RecipePanel,
    "Run": RunPanel,
    "Look": LookPanel,
    "Review": ReviewPanel,
    "Result": ResultPanel,
}
"""Panels by the name of their tab, in the order of the tabs."""

STATUS_MS = 30000
LOOK_EVERY_S = 1.0
"""How often the files of a run are looked at."""


class TrainPanels:
    """All panels of the module.

    Signals: `refreshed` (run): the visible panel was shown this run.

    Args:
        parts: widgets of each .ui file by the name of its tab.
        ui: widgets of FlareMRTrain.ui.
        session: what the panels share; closed by whoever made it.
        ticker: calls `poll` regularly; by default a Qt timer where there is Qt.
    """

    def __init__(
        self, parts: Mapping[str, Any], ui: Any, session: TrainSession, ticker: Any = None
    ) -> None:
        self.ui = ui
        self.session = session
        self.refreshed = Signal("run")
        self.run: RunReading | None = None
        self.panels = {name: kind(parts[name], session) for name, kind in PANELS.items()}
        self._ticker = ticker if ticker is not None else defaultTicker()
        self._observer: int | None = None
        self._runFolders: list[Path | None] = []
        self._nextLook = 0.0
        self._isShowing = False
        self._isEntered = False
        ui.trainTabs.connect("currentChanged(int)", self._onTab)
        ui.storePathEdit.connect("currentPathChanged(QString)", self._onStore)
        ui.runComboBox.connect("activated(int)", self._onRun)
        ui.refreshRunsButton.connect("clicked()", self.refresh)
        session.stateText.connect(self._onText)
        session.tabWanted.connect(self.openTab)
        session.runChanged.connect(self.refresh)

    def setParameterNode(self, node: FlareMRTrainParameterNode | None) -> None:
        """Show another parameter node, or none while there is no scene."""
        import vtk

        session = self.session
        if session.parameterNode is not None and self._observer is not None:
            session.parameterNode.RemoveObserver(self._observer)
        session.parameterNode, self._observer = node, None
        if node is not None:
            modified = vtk.vtkCommand.ModifiedEvent
            self._observer = node.AddObserver(modified, self._onModified)
        self._onModified(None, None)

    def enter(self) -> None:
        """The user came to the module: follow the run from now on."""
        self._isEntered = True
        self.refresh()
        self._ticker.start(self.poll)

    def exit(self) -> None:
        """The user left the module; only the end of a run that goes on is still waited for."""
        if self.run is None or self.run.state != "running":
            self._ticker.stop()
        self._isEntered = False

    def poll(self) -> None:
        """Look at the files of the run now and then; a timer calls this in Slicer."""
        if time.monotonic() >= self._nextLook:
            self.refresh()

    def refresh(self) -> None:
        """Show the run as its files are now."""
        self._nextLook = time.monotonic() + LOOK_EVERY_S
        self._showRuns()
        self.run = self.session.run()
        self._awaitEnd()
        self.visiblePanel().refresh(self.run)
        self.refreshed.emit(self.run)

    def visiblePanel(self) -> Any:
        """The panel of the tab that is open."""
        return list(self.panels.values())[self.ui.trainTabs.currentIndex]

    def openTab(self, name: str) -> None:
        """Show the tab of this name."""
        self.ui.trainTabs.setCurrentIndex(list(self.panels).index(name))

    def close(self) -> None:
        """Let go of everything; runs go on."""
        self._ticker.stop()
        self.setParameterNode(None)
        for panel in self.panels.values():
            panel.close()

    def _awaitEnd(self) -> None:
        """Say clearly that a run has ended, once, wherever the user is in Slicer."""
        run, session = self.run, self.session
        if run is None:
            return
        if run.state == "running":
            session.awaited = run.folder
        elif run.folder == session.awaited:
            session.awaited = None
            session.stateText.emit(stateText(run))
            showStatusMessage(stateText(run))
            if not self._isEntered:
                self._ticker.stop()

    def _showRuns(self) -> None:
        """The store and its runs, above the tabs."""
        self._isShowing = True
        runs = self.session.runs()
        folders = [None, *(run.folder for run in runs)]
        combo = self.ui.runComboBox
        titles = [_("Newest run"), *map(runTitle, runs)]
        if folders != self._runFolders or titles != self._titles():
            self._runFolders = folders
            combo.clear()
            for title in titles:
                combo.addItem(title)
        node = self.session.parameterNode
        chosen = Path(node.runFolder) if node is not None and node.runFolder else None
        combo.setCurrentIndex(folders.index(chosen) if chosen in folders else 0)
        if Path(self.ui.storePathEdit.currentPath) != self.session.store():
            self.ui.storePathEdit.currentPath = str(self.session.store())
        self._isShowing = False

    def _titles(self) -> list[str]:
        combo = self.ui.runComboBox
        return [combo.itemText(number) for number in range(combo.count)]

    def _onModified(self, _caller: Any, _event: Any) -> None:
        self.session.changed.emit()
        self.refresh()

    def _onTab(self, _index: int) -> None:
        self.refresh()

    def _onStore(self, path: str) -> None:
        if path and not self._isShowing:
            self.session.chooseStore(Path(path))

    def _onRun(self, index: int) -> None:
        if not self._isShowing:
            self.session.chooseRun(self._runFolders[index])

    def _onText(self, text: str) -> None:
        self.ui.trainStateLabel.text = text


def showStatusMessage(text: str) -> None:
    """Show a sentence in Slicer's status bar for a while; nothing without an application."""
    try:
        import slicer.util

        slicer.util.showStatusMessage(text, STATUS_MS)
    except (ImportError, AttributeError):
        return


def runTitle(run: RunReading) -> str:
    """A run in one line of the list."""
    day, clock = run.started[:8], run.started[9:15]
    when = f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}:{clock[4:]} UTC"
    return f"{run.recipe} {run.preset}, {when}: {stateWord(run.state)}"
