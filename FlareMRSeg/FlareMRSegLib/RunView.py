"""Progress bar, log and error message of the tab Segment: what its runner tells, nothing else."""

from typing import Any

import slicer

from FlareMRSegLib.ErrorMessages import helpFor, textFor
from FlareMRSegLib.Job import JobError, JobResult
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.Progress import stageTitle
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Translation import tr as _


class RunView:
    """Shows what the runner does.

    Signals: `actionWanted` (action): the button of an error message was pressed.

    Args:
        ui: widgets of FlareMRSegSegment.ui.
        runner: runs the segmentations.
    """

    def __init__(self, ui: Any, runner: JobRunner) -> None:
        self.ui = ui
        self.actionWanted = Signal("action")
        self.runner = runner
        self._action = ""
        self._name = ""
        runner.started.connect(self._onStarted)
        runner.progress.connect(self._onProgress)
        runner.message.connect(self._onMessage)
        runner.logLine.connect(self.log)
        runner.finished.connect(self._onFinished)
        runner.queueChanged.connect(self._onQueue)
        ui.copyLogButton.connect("clicked()", self.copyLog)
        ui.clearLogButton.connect("clicked()", self.clearLog)
        ui.errorButton.connect("clicked()", self._onAction)
        ui.errorCloseButton.connect("clicked()", self.hideError)

    def log(self, text: str) -> None:
        """Add a line to the log."""
        self.ui.logTextEdit.appendPlainText(text)

    def copyLog(self) -> None:
        """Put the log on the clipboard."""
        slicer.app.clipboard().setText(self.ui.logTextEdit.plainText)

    def clearLog(self) -> None:
        """Empty the log."""
        self.ui.logTextEdit.clear()

    def showError(self, error: JobError) -> None:
        """Show the message of an error and the button that helps."""
        found = helpFor(error.code, error.exitCode)
        self._action = found.action
        self.ui.errorLabel.text = textFor(error)
        self.ui.errorButton.text = found.actionLabel
        self.ui.errorButton.visible = bool(found.actionLabel)
        self.ui.errorFrame.visible = True

    def hideError(self) -> None:
        """Hide the message."""
        self.ui.errorFrame.visible = False

    def _onAction(self) -> None:
        self.hideError()
        self.actionWanted.emit(self._action)

    def _onStarted(self, _jobId: int, name: str) -> None:
        self._name = name
        self.hideError()
        self.log(f"== {name}")
        self.ui.progressBar.value = 0
        self.ui.progressBar.visible = True
        self._showStage(_("Starting"), None)

    def _onProgress(self, stage: str, fraction: float, secondsLeft: float | None) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self._showStage(stageTitle(stage), secondsLeft)

    def _onMessage(self, level: str, text: str) -> None:
        self.log(f"{level}: {text}")

    def _onFinished(self, result: JobResult) -> None:
        self.ui.progressBar.visible = False
        if result.error is not None:
            self.ui.stageLabel.text = _("{name}: failed.").format(name=result.name)
            self.log(f"{result.error.code}: {result.error.message} {result.error.hint}".rstrip())
            if result.folder is not None:
                kept = _("What the run left behind is in '{folder}'.")
                self.log(kept.format(folder=result.folder))
            self.showError(result.error)
        elif result.succeeded:
            done = _("{name}: done in {seconds:.0f} s.")
            self.ui.stageLabel.text = done.format(name=result.name, seconds=result.seconds)
        else:
            self.ui.stageLabel.text = _("{name}: cancelled.").format(name=result.name)
        self.log(self.ui.stageLabel.text)

    def _onQueue(self, waiting: int) -> None:
        if waiting:
            self.log(_("{count} waiting").format(count=waiting))

    def _showStage(self, title: str, secondsLeft: float | None) -> None:
        parts = [f"{self._name}: {title}"]
        if secondsLeft is not None:
            parts.append(_("about {time} left in this step").format(time=timeText(secondsLeft)))
        waiting = len(self.runner.waiting())
        if waiting:
            parts.append(_("{count} waiting").format(count=waiting))
        self.ui.stageLabel.text = ", ".join(parts)


def timeText(seconds: float) -> str:
    """A duration for people, e.g. ``"12 s"`` or ``"3 min 20 s"``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return _("{seconds} s").format(seconds=rest)
    return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)
