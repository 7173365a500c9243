"""The tab Batch: many volumes or files, one after another, with the options of the tab Segment."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.output_paths import make_folder
from FlareMRSegLib.BatchQueue import (
    CANCELLED,
    DONE,
    FAILED,
    FILE,
    RUNNING,
    WAITING,
    BatchQueue,
    BatchRow,
)
from FlareMRSegLib.BatchVolumes import BatchVolumes
from FlareMRSegLib.Dialogs import Dialogs
from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.JobCalls import JobCalls
from FlareMRSegLib.Options import SegmentationOptions
from FlareMRSegLib.Progress import stageTitle
from FlareMRSegLib.SegmentationLogic import SegmentationLogic, SegmentationOutcome
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRows
from FlareMRSegLib.Translation import tr as _

IMAGES = ("Images (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd)", "All files (*)")
TABLES = ("CSV (*.csv)",)
QUEUE_FILE = "flaremr-batch.json"
FOLDER_NAME = "flaremr-results"
COLORS = {DONE: "#d6efd6", FAILED: "#f6cccc", CANCELLED: "#ffe2b0", RUNNING: "#d4e4f7"}


class BatchPanel:
    """Fills and runs a queue.

    Args:
        ui: widgets of FlareMRSegBatch.ui.
        logic: segments.
        dialogs: asks for files; replaced in tests.
        options: gives the options for a run; None if there are none that may be used.
    """

    def __init__(
        self,
        ui: Any,
        logic: SegmentationLogic,
        dialogs: Dialogs,
        options: Callable[[], SegmentationOptions | None],
    ) -> None:
        self.ui = ui
        self.logic = logic
        self.dialogs = dialogs
        self.queue = BatchQueue()
        self.volumes = BatchVolumes()
        self._options = options
        self._calls = JobCalls(logic.runner)
        self._isRunning = False
        self._problem = ""
        self.queue.changed.connect(self.update)
        logic.runner.progress.connect(self._onProgress)
        self._connect()
        self.update()

    def addVolumes(self) -> None:
        """Add every volume of the scene that can be segmented."""
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if not self.logic.bridge.inputProblem(node):
                self.queue.addVolume(node.GetID(), node.GetName())

    def addFiles(self, paths: Sequence[Path] | None = None) -> None:
        """Add images, by default those that the user chooses."""
        paths = paths or self.dialogs.openFiles(_("Add images"), IMAGES)
        if paths:
            self.queue.addFiles(paths, self._folderFor(paths[0].parent))

    def addFolder(self, folder: Path | None = None) -> None:
        """Add the images of a folder, by default of one that the user chooses."""
        folder = folder or self.dialogs.openFolder(_("Add folder"))
        if folder is not None:
            try:
                self.queue.addFolder(folder, self._folderFor(folder))
            except FlareMRError as error:
                self.ui.batchStageLabel.text = str(error)

    def resume(self, path: Path | None = None) -> None:
        """Go on with a batch that was interrupted, by default with one that the user chooses."""
        filters = (f"Batch ({QUEUE_FILE})",)
        path = path or self.dialogs.openFile(_("Resume a batch"), filters)
        if path is None:
            return
        try:
            self.queue.load(path)
        except FlareMRError as error:
            self.ui.batchStageLabel.text = str(error)
            return
        self.ui.batchFolderEdit.currentPath = str(path.parent)
        self.volumes.load(path.parent)
        self.queue.resume()

    def run(self) -> bool:
        """Segment what waits; whether anything was started."""
        if self.reason() or self._options() is None:
            return False
        self._isRunning, self._problem = True, ""
        self._startNext()
        return True

    def retry(self) -> bool:
        """Let the failed rows wait again and run; whether anything was started."""
        self.queue.retryFailed()
        return self.run()

    def cancel(self) -> None:
        """Stop the running row; the others wait until Run is pressed again."""
        self._isRunning = False
        self._calls.cancel()

    def reason(self) -> str:
        """Why Run is disabled, as a sentence; empty if it is not."""
        if self._isRunning:
            return _("The batch is running.")
        if not self.queue.rows:
            return _("Add volumes or files first.")
        if self.queue.next() is None:
            return _("Nothing is waiting.")
        return ""

    def toCsv(self) -> str:
        """States of all rows, and the organ volumes in mL of those that are done."""
        return self.volumes.addedTo(self.queue.toCsv())

    def saveCsv(self, path: Path | None = None) -> None:
        """Write the table, by default where the user chooses."""
        path = path or self.dialogs.saveFile(_("Save table"), "flaremr-batch.csv", TABLES)
        if path is not None:
            try:
                write_text_atomically(path, self.toCsv())
            except FlareMRError as error:
                self.ui.batchStageLabel.text = str(error)

    def onSceneClosed(self) -> None:
        """The volumes of the scene are gone; files stay in the list and go on later."""
        self.cancel()
        self.queue.remove([row.id for row in self.queue.rows if row.kind != FILE])

    def update(self) -> None:
        """Show the queue."""
        counts = self.queue.counts()
        headers = (_("Name"), _("State"), _("Time"), _("Result"), _("Message"))
        words = _stateWords()
        cells = [
            (row.name, words[row.state], _seconds(row), row.output, row.message)
            for row in self.queue.rows
        ]
        fillTable(self.ui.batchTable, headers, cells)
        for number, row in enumerate(self.queue.rows):
            if row.state in COLORS:
                colorRow(self.ui.batchTable, number, COLORS[row.state])
        reason = self.reason()
        self.ui.runBatchButton.enabled = not reason
        self.ui.runBatchButton.toolTip = reason or _("Segment what is waiting.")
        failed = counts[FAILED] + counts[CANCELLED]
        self.ui.retryBatchButton.enabled = failed > 0 and not self._isRunning
        self.ui.cancelBatchButton.enabled = self._isRunning
        self.ui.saveBatchButton.enabled = bool(self.queue.rows)
        self.ui.batchReasonLabel.text = "" if self._isRunning else reason
        self.ui.batchProgressBar.visible = self._isRunning
        if self.queue.rows:
            self.ui.batchProgressBar.maximum = 100 * len(self.queue.rows)
            ended = len(self.queue.rows) - counts[WAITING] - counts[RUNNING]
            self.ui.batchProgressBar.value = 100 * ended

    def _connect(self) -> None:
        ui = self.ui
        ui.addVolumesButton.connect("clicked()", self.addVolumes)
        ui.addFilesButton.connect("clicked()", self.addFiles)
        ui.addFolderButton.connect("clicked()", self.addFolder)
        ui.resumeBatchButton.connect("clicked()", self.resume)
        ui.removeRowsButton.connect("clicked()", self._onRemove)
        ui.clearRowsButton.connect("clicked()", self.queue.clear)
        ui.runBatchButton.connect("clicked()", self.run)
        ui.retryBatchButton.connect("clicked()", self.retry)
        ui.cancelBatchButton.connect("clicked()", self.cancel)
        ui.saveBatchButton.connect("clicked()", self.saveCsv)

    def _folderFor(self, source: Path) -> Path:
        """The output folder; one beside the images if the user chose none."""
        if not self.ui.batchFolderEdit.currentPath:
            self.ui.batchFolderEdit.currentPath = str(source / FOLDER_NAME)
        return Path(self.ui.batchFolderEdit.currentPath)

    def _startNext(self) -> None:
        row = self.queue.next() if self._isRunning else None
        options = self._options() if row is not None else None
        if row is None or options is None:
            self._isRunning = False
            self.ui.batchStageLabel.text = self._summary()
            self.update()
            return
        self.queue.setState(row.id, RUNNING)
        try:
            job = self._job(row, options)
        except FlareMRError as error:
            self._onEnded(row, FAILED, str(error), None)
            return
        self._calls.start(job, lambda result: self._onDone(row, result))

    def _job(self, row: BatchRow, options: SegmentationOptions) -> Job:
        if row.kind == FILE:
            return self.logic.fileJob(Path(row.source), Path(row.output), options)
        node = slicer.mrmlScene.GetNodeByID(row.source)
        problem = self.logic.bridge.inputProblem(node)
        if problem:
            raise FlareMRError(problem, code="input.node")
        return self.logic.volumeJob(node, None, options)

    def _onDone(self, row: BatchRow, result: JobResult) -> None:
        outcome = result.value
        record = outcome.record if isinstance(outcome, SegmentationOutcome) else outcome
        if result.succeeded:
            self.volumes.add(row.name, record or {})
            warnings = " ".join((record or {}).get("warnings", ()))
            self._onEnded(row, DONE, warnings, result.seconds)
        elif result.error is not None:
            text = f"{result.error.message} {result.error.hint}".strip()
            self._onEnded(row, FAILED, text, result.seconds)
        else:
            self._isRunning = False
            self._onEnded(row, CANCELLED, "", result.seconds)

    def _onEnded(self, row: BatchRow, state: str, message: str, seconds: float | None) -> None:
        self.queue.setState(row.id, state, message=message, seconds=seconds)
        self._save()
        self._startNext()

    def _save(self) -> None:
        """Keep the batch beside its results, so that it can be resumed after a crash."""
        folder = self.ui.batchFolderEdit.currentPath
        if folder and any(row.kind == FILE for row in self.queue.rows):
            try:
                make_folder(Path(folder))
                self.queue.save(Path(folder) / QUEUE_FILE)
                self.volumes.save(Path(folder))
            except FlareMRError as error:  # the other rows still have their turn
                self._problem = str(error)

    def _summary(self) -> str:
        counts = self.queue.counts()
        text = _("{done} done, {failed} failed, {waiting} waiting.").format(
            done=counts[DONE],
            failed=counts[FAILED] + counts[CANCELLED],
            waiting=counts[WAITING],
        )
        return f"{text} {self._problem}".strip()

    def _onProgress(self, stage: str, fraction: float, _secondsLeft: float | None) -> None:
        running = next((row for row in self.queue.rows if row.state == RUNNING), None)
        if running is not None:
            counts = self.queue.counts()
            ended = len(self.queue.rows) - counts[WAITING] - 1
            self.ui.batchProgressBar.value = round(100 * (ended + fraction))
            self.ui.batchStageLabel.text = f"{running.name}: {stageTitle(stage)}"

    def _onRemove(self) -> None:
        rows = self.queue.rows
        self.queue.remove([rows[number].id for number in selectedRows(self.ui.batchTable)])


def _stateWords() -> dict[str, str]:
    return {
        WAITING: _("waiting"),
        RUNNING: _("running"),
        DONE: _("done"),
        FAILED: _("failed"),
        CANCELLED: _("cancelled"),
    }


def _seconds(row: BatchRow) -> str:
    return "" if row.seconds is None else _("{n:.0f} s").format(n=row.seconds)
