"""The tab Result: scores, weights, data sets and texts of a finished run."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer
from FlareMRSegLib.Job import JobResult
from FlareMRSegLib.Tables import fillTable
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import FlareMRError
from FlareMRCore.imaging.metrics import MODES
from FlareMRCore.pipeline.run_reading import RunReading, StageReading, runs_of
from FlareMRCore.pipeline.run_results import (
    ablation_rows,
    ablation_table,
    run_scores,
    scores_table,
)
from FlareMRCore.pipeline.stage import MODEL, NNUNET
from FlareMRCore.pipeline.text_table import TextTable
from FlareMRTrainLib import ResultCommands
from FlareMRTrainLib.ResultTableNode import showTable
from FlareMRTrainLib.SegmentModule import chooseWeights
from FlareMRTrainLib.TrainSession import TrainSession

EMPTY = TextTable((), ())
FILES = (NNUNET,)
"""Kinds of outputs whose files are for other programs."""
TABLE_FILES = ("CSV (*.csv)", "Markdown (*.md)")
TEXT_FILES = ("Markdown (*.md)",)


class ResultPanel:
    """Scores, weights, data sets and texts of a finished run.

    Args:
        ui: widgets of FlareMRTrainResult.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.run: RunReading | None = None
        self.tables: dict[str, TextTable] = {}
        self.chooseWeights = chooseWeights
        self._shown: Any = False  # as no state is
        self._temporary: Path | None = None
        for mode in MODES:
            ui.resultModeComboBox.addItem(mode)
        self._connect()
        self.refresh(None)

    def refresh(self, run: RunReading | None) -> None:
        """Show `run`: the tab became visible, another run was chosen, or its files changed."""
        self.run = run
        state = self._state()
        if state != self._shown:
            self._shown = state
            self._showFacts()
            self._readTables()
        self._enable()

    def table(self) -> TextTable:
        """The table that is shown; empty if there is none."""
        title = str(self.ui.resultTableComboBox.currentText)
        if title == ablationTitle() and title not in self.tables:
            self.tables[title] = self._ablation()
        return self.tables.get(title, EMPTY)

    def toScene(self) -> Any:
        """Put the table into the scene; the table node."""
        title = str(self.ui.resultTableComboBox.currentText)
        folder = self.run.folder.name if self.run is not None else ""
        return showTable(self.table(), f"{folder}/{title}", title)

    def copyTable(self) -> None:
        """Copy the table with tabs, for spreadsheets."""
        table = self.table()
        text = "\n".join("\t".join(cells) for cells in (table.header, *table.rows))
        slicer.app.clipboard().setText(text + "\n")

    def saveTable(self, path: Path | None = None) -> None:
        """Write the table, by default to a file that the user chooses."""
        path = path or self.session.dialogs.saveFile(_("Save scores"), "scores.csv", TABLE_FILES)
        if path is not None:
            table = self.table()
            self._write(path, table.markdown() if path.suffix == ".md" else table.csv())

    def useWeights(self) -> None:
        """Import the weights of the run as FlareMRSeg does, and choose them there."""
        if self.run is None or self._temporary is not None:
            return
        self._temporary = Path(tempfile.mkdtemp(prefix="flaremr-", dir=_temporaryRoot()))
        words = ResultCommands.exportModelWords(self.run.folder, self._temporary / "model")
        self.session.command(_("Exporting weights"), words, self._onExported)

    def exportWeights(self, folder: Path | None = None) -> None:
        """Write weights and model card below a folder that the user chooses."""
        if self.run is not None:
            target = self._target(_("Folder for the weights"), "weights", folder)
            if target is not None:
                words = ResultCommands.exportModelWords(self.run.folder, target)
                self.session.command(_("Exporting weights"), words, self._onWritten)

    def exportFiles(self, folder: Path | None = None) -> None:
        """Copy what the chosen stage made below a folder that the user chooses."""
        stage = str(self.ui.resultFilesComboBox.currentText)
        if self.run is not None and stage:
            target = self._target(_("Folder for the files"), stage, folder)
            if target is not None:
                words = ResultCommands.exportFilesWords(self.run.folder, stage, target)
                self.session.command(_("Copying files"), words, self._onWritten)

    def writeMethods(self) -> None:
        """Ask for the text of the methods."""
        if self.run is not None:
            words = ResultCommands.methodsWords(self.run.folder)
            self.session.command(_("Writing the methods"), words, self._onMethods)

    def copyMethods(self) -> None:
        """Copy the text of the methods."""
        slicer.app.clipboard().setText(self.ui.methodsTextEdit.plainText)

    def saveMethods(self, path: Path | None = None) -> None:
        """Write the text of the methods, by default to a file that the user chooses."""
        path = path or self.session.dialogs.saveFile(_("Save methods"), "methods.md", TEXT_FILES)
        if path is not None:
            self._write(path, str(self.ui.methodsTextEdit.plainText))

    def exportJob(self, folder: Path | None = None) -> None:
        """Write the chosen recipe as a job below a folder that the user chooses."""
        node, session = self.session.parameterNode, self.session
        if node is None or not node.recipe:
            return
        parent = folder or session.dialogs.openFolder(_("Folder for the job"))
        if parent is not None:
            name = f"{Path(node.recipe).stem}-{node.preset}-job"
            words = ResultCommands.exportJobWords(
                node,
                session.store(),
                parent / name,
                copyImages=bool(self.ui.copyImagesCheckBox.checked),
            )
            session.command(_("Exporting the job"), words, self._onWritten)

    def importJob(self, folder: Path | None = None) -> None:
        """Take over the results of a job, by default in a folder that the user chooses."""
        folder = folder or self.session.dialogs.openFolder(_("Folder of the job"))
        if folder is not None:
            words = ResultCommands.importJobWords(folder, self.session.store())
            self.session.command(_("Importing results"), words, self._onImported)

    def close(self) -> None:
        """The module is reloaded, or the scene is closed: forget the temporary folder."""
        self._deleteTemporary()

    def _connect(self) -> None:
        ui = self.ui
        ui.resultTableComboBox.connect("activated(int)", self._onTable)
        ui.resultModeComboBox.connect("activated(int)", self._onMode)
        ui.tableToSceneButton.connect("clicked()", self.toScene)
        ui.copyScoresButton.connect("clicked()", self.copyTable)
        ui.saveScoresButton.connect("clicked()", self.saveTable)
        ui.useWeightsButton.connect("clicked()", self.useWeights)
        ui.exportWeightsFolderButton.connect("clicked()", self.exportWeights)
        ui.exportFilesButton.connect("clicked()", self.exportFiles)
        ui.writeMethodsButton.connect("clicked()", self.writeMethods)
        ui.copyMethodsButton.connect("clicked()", self.copyMethods)
        ui.saveMethodsButton.connect("clicked()", self.saveMethods)
        ui.exportJobButton.connect("clicked()", self.exportJob)
        ui.importJobButton.connect("clicked()", self.importJob)

    def _state(self) -> Any:
        """What the contents of this tab depend on; compared instead of reading all files again."""
        if self.run is None:
            return None
        stages = [(stage.id, stage.state, len(stage.folders)) for stage in self.run.stages]
        return (self.run.folder, self.run.state, stages)

    def _showFacts(self) -> None:
        """What there is, apart from scores."""
        ui, run = self.ui, self.run
        ui.methodsTextEdit.plainText = ""
        ui.resultFilesComboBox.clear()
        for stage in self._filesStages():
            ui.resultFilesComboBox.addItem(stage.id)
        if run is None:
            ui.resultIntroLabel.text = _("No run is chosen. Runs are started in the tab Run.")
        else:
            text = _("Run of {recipe}, preset {preset}, profile {profile}.")
            ui.resultIntroLabel.text = text.format(
                recipe=run.recipe, preset=run.preset, profile=run.profile
            )
        hasModel = self._hasModel()
        ready = _("This run has exported weights.")
        waiting = _("This run has not exported weights yet.")
        ui.resultWeightsLabel.text = ready if hasModel else waiting

    def _readTables(self) -> None:
        """Read the scores of this run in the chosen convention; of all runs when asked for."""
        ui, shown = self.ui, str(self.ui.resultTableComboBox.currentText)
        try:
            scores = run_scores(self.run, self._mode()) if self.run is not None else ()
        except FlareMRError as error:
            self.session.stateText.emit(str(error))
            scores = ()
        self.tables = {found.stage_id: scores_table(found) for found in scores}
        titles = [*self.tables, *([ablationTitle()] if scores else [])]
        ui.resultTableComboBox.clear()
        for title in titles:
            ui.resultTableComboBox.addItem(title)
        if shown in titles:
            ui.resultTableComboBox.setCurrentIndex(titles.index(shown))
        self._showTable()

    def _ablation(self) -> TextTable:
        try:
            return ablation_table(ablation_rows(runs_of(self.session.store()), self._mode()))
        except FlareMRError as error:
            self.session.stateText.emit(str(error))
            return EMPTY

    def _mode(self) -> Any:
        """Convention of the scores."""
        return str(self.ui.resultModeComboBox.currentText)

    def _showTable(self) -> None:
        table = self.table()
        fillTable(self.ui.resultScoresTable, table.header, table.rows)

    def _enable(self) -> None:
        ui, isBusy = self.ui, self.session.isBusy()
        isFilled = bool(self.table().rows)
        for button in (ui.tableToSceneButton, ui.copyScoresButton, ui.saveScoresButton):
            button.enabled = isFilled
        hasModel = self._hasModel() and not isBusy
        ui.useWeightsButton.enabled = hasModel and self._temporary is None
        ui.exportWeightsFolderButton.enabled = hasModel
        ui.exportFilesButton.enabled = bool(self._filesStages()) and not isBusy
        ui.writeMethodsButton.enabled = self.run is not None and not isBusy
        hasText = bool(ui.methodsTextEdit.plainText)
        ui.copyMethodsButton.enabled = ui.saveMethodsButton.enabled = hasText
        node = self.session.parameterNode
        recipe = node.recipe if node is not None else ""
        ui.exportJobButton.enabled = bool(recipe) and not isBusy
        ui.importJobButton.enabled = not isBusy
        chosen = _("The job is of the recipe {recipe}, as chosen in the tab Recipe.")
        none = _("Choose a recipe in the tab Recipe before a job can be exported.")
        ui.resultJobLabel.text = chosen.format(recipe=recipe) if recipe else none

    def _hasModel(self) -> bool:
        return self.run is not None and bool(self.run.making(MODEL))

    def _filesStages(self) -> list[StageReading]:
        return list(self.run.making(*FILES)) if self.run is not None else []

    def _target(self, title: str, name: str, folder: Path | None) -> Path | None:
        """A new folder below the one that the user chooses; None if the user cancels."""
        parent = folder or self.session.dialogs.openFolder(title)
        if parent is None or self.run is None:
            return None
        return parent / f"{self.run.recipe}-{self.run.preset}-{name}"

    def _write(self, path: Path, text: str) -> None:
        try:
            write_text_atomically(path, text)
        except FlareMRError as error:
            self.session.stateText.emit(str(error))

    def _onTable(self, _index: int) -> None:
        self._showTable()
        self._enable()

    def _onMode(self, _index: int) -> None:
        self._readTables()
        self._enable()

    def _onExported(self, result: JobResult) -> None:
        if not result.succeeded or self._temporary is None:
            self._deleteTemporary()
            self._enable()
            return
        words = ResultCommands.importWeightsWords(self._temporary / "model")
        self.session.command(_("Importing weights"), words, self._onInstalled)

    def _onInstalled(self, result: JobResult) -> None:
        self._deleteTemporary()
        self._enable()
        if result.succeeded:
            self.chooseWeights(str(result.content["id"]))

    def _onMethods(self, result: JobResult) -> None:
        if result.succeeded:
            self.ui.methodsTextEdit.plainText = str(result.content["text"])
        self._enable()

    def _onWritten(self, _result: JobResult) -> None:
        self._enable()

    def _onImported(self, result: JobResult) -> None:
        runs = result.content.get("runs", ())
        if result.succeeded and runs:
            self.session.chooseRun(Path(str(runs[-1])))
        self._enable()

    def _deleteTemporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def ablationTitle() -> str:
    """Name of the table over all runs."""
    return _("Ablation: all runs")


def _temporaryRoot() -> str | None:
    """Folder for temporary files that the user chose in Slicer; None for the system's."""
    return getattr(slicer.app, "temporaryPath", None)
