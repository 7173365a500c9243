"""The tab Run: starts, watches, pauses and resumes runs."""

from pathlib import Path
from typing import Any

import slicer
from FlareMRSegLib.Job import JobResult
from FlareMRSegLib.RunView import timeText
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.pipeline.run_reading import (
    RunReading,
    StageReading,
    curve_file,
    log_tail,
    stage_curves,
)
from FlareMRTrainLib.CurvePlot import CurvePlot, openChart
from FlareMRTrainLib.States import COLORS, stateWord
from FlareMRTrainLib.TrainCommands import resumeWords, startWords, stopWords
from FlareMRTrainLib.TrainSession import TrainSession

RESUMABLE = ("cancelled", "interrupted", "failed", "incomplete")


class RunPanel:
    """Starts, watches, pauses and resumes runs.

    Args:
        ui: widgets of FlareMRTrainRun.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.run: RunReading | None = None
        self._log = ""
        self._curveTime = 0.0
        self._isWaiting = False
        ui.startRunButton.connect("clicked()", self.start)
        ui.pauseRunButton.connect("clicked()", self.pause)
        ui.resumeRunButton.connect("clicked()", self.resume)
        ui.showCurvesButton.connect("clicked()", self.showCurves)
        ui.copyRunLogButton.connect("clicked()", self.copyLog)
        ui.runThreadsSpinBox.connect("valueChanged(int)", self._onThreads)
        ui.runDeviceComboBox.connect("activated(int)", self._onDevice)
        ui.runDeviceComboBox.addItem(_("Automatic"), "auto")
        session.changed.connect(self._onChanged)
        self.refresh(None)

    def start(self) -> bool:
        """Start the chosen recipe; whether the command was given."""
        if self.reason():
            return False
        words = startWords(self.session.parameterNode, self.session.store())
        return self._command(_("Starting the run"), words)

    def pause(self) -> bool:
        """Let the run save its state and end; whether the command was given."""
        if self.run is None or self.run.state != "running":
            return False
        return self._command(_("Pausing the run"), stopWords(self.run.folder))

    def resume(self) -> bool:
        """Go on where the run ended; whether the command was given."""
        if self.run is None or self.run.state not in RESUMABLE:
            return False
        return self._command(_("Resuming the run"), resumeWords(self.run.folder))

    def reason(self) -> str:
        """Why nothing can be started, as a sentence; empty if it can."""
        node = self.session.parameterNode
        if node is None:
            return _("The scene is being closed.")
        if self._isWaiting:
            return _("A command is being carried out.")
        if not node.recipe:
            return _("Choose a recipe in the tab Recipe first.")
        if self.run is not None and self.run.state == "running":
            return _("A run is going on in this store.")
        return ""

    def refresh(self, run: RunReading | None) -> None:
        """Show `run` as its files are now."""
        self.run = run
        ui = self.ui
        self._showButtons()
        self._showState()
        self._showStages(run.stages if run is not None else ())
        text = log_tail(run.folder) if run is not None else ""
        if text != self._log:
            self._log = text
            ui.runLogTextEdit.plainText = text
            bar = ui.runLogTextEdit.verticalScrollBar()
            bar.setValue(bar.maximum)
        self._updateCurves()

    def showCurves(self) -> Any:
        """Plot the curves of the selected training, or of the last one; the chart, or None."""
        stage = self._trainingStage()
        if self.run is None or stage is None:
            return None
        chart = self._plot(stage).show(stage_curves(stage))
        if chart is not None:
            openChart(chart)
        return chart

    def copyLog(self) -> None:
        """Put the log on the clipboard."""
        slicer.app.clipboard().setText(self._log)

    def close(self) -> None:
        """Nothing is held; runs go on."""

    def _command(self, title: str, words: list[str]) -> bool:
        self._isWaiting = True
        self._showButtons()
        self.session.command(title, words, self._onDone)
        return True

    def _onDone(self, result: JobResult) -> None:
        self._isWaiting = False
        if result.succeeded and "pid" in result.content:
            self.session.awaited = Path(str(result.content["run"]))
            self.session.chooseRun(None)
        self._showButtons()
        self.session.runChanged.emit()

    def _showButtons(self) -> None:
        ui, state = self.ui, self.run.state if self.run is not None else ""
        reason = self.reason()
        ui.startRunButton.enabled = not reason
        ui.startRunButton.toolTip = reason or _("Start the recipe that is chosen.")
        ui.pauseRunButton.enabled = state == "running" and not self._isWaiting
        ui.resumeRunButton.enabled = state in RESUMABLE and not self._isWaiting
        ui.showCurvesButton.enabled = self._trainingStage() is not None
        node = self.session.parameterNode
        if node is not None:
            index = ui.runDeviceComboBox.findData(node.device)
            if index < 0:
                ui.runDeviceComboBox.addItem(node.device, node.device)
                index = ui.runDeviceComboBox.count - 1
            ui.runDeviceComboBox.setCurrentIndex(index)
            ui.runThreadsSpinBox.value = node.threads
            chosen = _("{recipe}, preset {preset}, profile {profile}")
            ui.runRecipeLabel.text = (
                chosen.format(recipe=node.recipe, preset=node.preset, profile=node.profile)
                if node.recipe
                else reason
            )

    def _showState(self) -> None:
        ui, run = self.ui, self.run
        ui.runStateLabel.text = stateText(run)
        ui.runErrorFrame.visible = run is not None and run.error is not None
        ui.runErrorLabel.text = errorText(run)
        pulse = run.pulse if run is not None else None
        ui.runProgressBar.visible = pulse is not None
        ui.runPaceLabel.text = ""
        if pulse is not None:
            ui.runProgressBar.maximum = max(pulse.total, 1)
            ui.runProgressBar.value = pulse.done
            ui.runPaceLabel.text = paceText(run)

    def _showStages(self, stages: tuple[StageReading, ...]) -> None:
        headers = (_("Stage"), _("Kind"), _("State"), _("Done"), _("Time"), _("Remark"))
        rows = [
            (s.id, s.use, stateWord(s.state), doneText(s), secondsText(s), s.detail) for s in stages
        ]
        fillTable(self.ui.runStagesTable, headers, rows)
        for number, stage in enumerate(stages):
            if stage.state in COLORS:
                colorRow(self.ui.runStagesTable, number, COLORS[stage.state])

    def _trainingStage(self) -> StageReading | None:
        """The selected stage if it has a curve, else the last one that has."""
        if self.run is None:
            return None
        stages = self.run.stages
        row = selectedRow(self.ui.runStagesTable)
        chosen = [stages[row]] if 0 <= row < len(stages) else []
        return next((s for s in (*chosen, *reversed(stages)) if curve_file(s)), None)

    def _plot(self, stage: StageReading) -> CurvePlot:
        key = next(iter(stage.keys), stage.id)
        return CurvePlot(key, stage.id)

    def _updateCurves(self) -> None:
        """Charts that are in the scene follow the training."""
        for stage in self.run.stages if self.run is not None else ():
            if stage.state != "running" or not self._plot(stage).isShown():
                continue
            file = curve_file(stage)
            written = file.stat().st_mtime if file is not None else 0.0
            if written != self._curveTime:
                self._curveTime = written
                self._plot(stage).show(stage_curves(stage))

    def _onThreads(self, count: int) -> None:
        if self.session.parameterNode is not None:
            self.session.parameterNode.threads = count

    def _onDevice(self, _index: int) -> None:
        if self.session.parameterNode is not None:
            self.session.parameterNode.device = str(self.ui.runDeviceComboBox.currentData)

    def _onChanged(self) -> None:
        self._showButtons()


def stateText(run: RunReading | None) -> str:
    """How the run is, as a sentence; the end is told clearly."""
    if run is None:
        return _("There is no run in this store yet.")
    texts = {
        "running": _("The run is going on; it also does when Slicer is closed."),
        "done": _("The run has ended: every stage is done."),
        "failed": _("The run has failed. What is done is kept."),
        "cancelled": _("The run is paused. Resume goes on where it was."),
        "interrupted": _("The process of this run was ended. Resume goes on where it was."),
        "incomplete": _("This part of the run is done; other parts are missing."),
    }
    return f"{run.title}: {texts.get(run.state, run.state)}"


def errorText(run: RunReading | None) -> str:
    """Why the run failed and what to do."""
    if run is None or run.error is None:
        return ""
    message, hint = (str(run.error.get(key) or "") for key in ("message", "hint"))
    return f"{message}\n{hint}".strip()


def paceText(run: RunReading) -> str:
    """Stage, steps, steps in a minute and time left of a run that goes on."""
    pulse = run.pulse
    if pulse is None:
        return ""
    parts = [
        _("{stage}: {done} of {total}").format(
            stage=pulse.stage, done=pulse.done, total=pulse.total
        )
    ]
    if pulse.per_minute is not None:
        parts.append(_("{rate:.1f} a minute").format(rate=pulse.per_minute))
    if pulse.seconds_left is not None:
        parts.append(_("about {time} left").format(time=timeText(pulse.seconds_left)))
    return ", ".join(parts)


def doneText(stage: StageReading) -> str:
    """Finished tasks out of all."""
    return f"{stage.done}/{stage.total}" if stage.total else ""


def secondsText(stage: StageReading) -> str:
    """How long the stage took."""
    return "" if stage.seconds is None else timeText(stage.seconds)
