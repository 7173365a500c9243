"""The tab Weights: list, download, verify, import, export and remove, each by a child process."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import qt

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.output_paths import make_folder
from FlareMRSegLib.Dialogs import Dialogs
from FlareMRSegLib.Job import JobResult, commandJob
from FlareMRSegLib.JobCalls import JobCalls
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.Progress import stageTitle
from FlareMRSegLib.Settings import readSetting, writeSetting
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Tables import fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

ARCHIVES = ("Weights (*.zip)", "All files (*)")
MEGABYTE = 1e6
REMOTE = ("missing", "damaged")
"""States of weights that can be downloaded."""


class WeightsPanel:
    """Shows the weights and what can be done with them.

    Signals: `changed` (weights): reading the list ended; `failed` (JobError).

    Args:
        ui: widgets of FlareMRSegWeights.ui.
        runner: runs the jobs of this panel only.
        dialogs: asks the user; replaced in tests.
    """

    def __init__(self, ui: Any, runner: JobRunner, dialogs: Dialogs) -> None:
        self.ui = ui
        self.dialogs = dialogs
        self.runner = runner
        self.changed = Signal("weights")
        self.failed = Signal("error")
        self.weights: list[dict[str, Any]] = []
        self._isListing = False
        self.folder = ""
        self._calls = JobCalls(runner)
        runner.progress.connect(self._onProgress)
        runner.message.connect(self._onMessage)
        self._connect()
        self._showState()

    def refresh(self) -> None:
        """Read the list again."""
        self._isListing = True
        self._start(_("Reading the list of weights"), ["list"], self._onListed)

    def reason(self) -> str:
        """Why no run can start yet: their license is not known before the list is there."""
        return _("The list of weights is being read.") if self._isListing else ""

    def selected(self) -> dict[str, Any] | None:
        """Facts of the selected weights."""
        row = selectedRow(self.ui.weightsTable)
        return self.weights[row] if 0 <= row < len(self.weights) else None

    def accepted(self, weightsId: str) -> bool:
        """Whether the user accepts the license of weights that are not open; asked once."""
        facts = self._facts(weightsId)
        if facts is None or facts.get("open_license", False):
            return True
        key = f"AcceptedLicense/{facts['id']}-{facts['version']}"
        if readSetting(key):
            return True
        question = _(
            "The weights '{title}' may be used under the license {license} only, which is not an "
            "open license: commercial use may be forbidden. The license is at {url}. Do you accept?"
        ).format(title=facts["title"], license=facts["license"], url=facts["license_url"])
        if not self.dialogs.confirm(question):
            return False
        writeSetting(key, "yes")
        return True

    def fetch(self, weightsId: str) -> None:
        """Download weights, if the user accepts their license."""
        if self.accepted(weightsId):
            self._start(_("Downloading"), ["fetch", weightsId])

    def importFrom(self, path: Path | None = None) -> None:
        """Take over an archive, by default one that the user chooses."""
        path = path or self.dialogs.openFile(_("Import weights"), ARCHIVES)
        if path is not None:
            self._start(_("Importing"), ["import", str(path)])

    def exportTo(self, weightsId: str, path: Path | None = None) -> None:
        """Write an archive, by default where the user chooses."""
        path = path or self.dialogs.saveFile(_("Export weights"), f"{weightsId}.zip", ARCHIVES[:1])
        if path is not None:
            self._start(_("Exporting"), ["export", weightsId, str(path)])

    def remove(self, weightsId: str) -> None:
        """Delete the files of weights, if the user agrees."""
        question = _("Delete the files of the weights '{id}'?").format(id=weightsId)
        if self.dialogs.confirm(question):
            self._start(_("Removing"), ["remove", weightsId])

    def verify(self, weightsId: str) -> None:
        """Compare the files of weights with their hashes."""
        self._start(_("Checking files"), ["verify", weightsId])

    def openFolder(self) -> None:
        """Show the folder of the weights in the file browser."""
        if self.folder:
            try:
                make_folder(Path(self.folder))
            except FlareMRError as error:
                self.ui.weightsStageLabel.text = str(error)
                return
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self.folder))

    def _connect(self) -> None:
        ui = self.ui
        ui.refreshWeightsButton.connect("clicked()", self.refresh)
        ui.importWeightsButton.connect("clicked()", self.importFrom)
        ui.openWeightsButton.connect("clicked()", self.openFolder)
        ui.cancelWeightsButton.connect("clicked()", self.runner.cancelAll)
        ui.weightsTable.connect("itemSelectionChanged()", self._showState)
        ui.fetchWeightsButton.connect("clicked()", partial(self._withSelected, self.fetch))
        ui.verifyWeightsButton.connect("clicked()", partial(self._withSelected, self.verify))
        ui.removeWeightsButton.connect("clicked()", partial(self._withSelected, self.remove))
        ui.exportWeightsButton.connect("clicked()", partial(self._withSelected, self.exportTo))

    def _withSelected(self, action: Callable[[str], None]) -> None:
        facts = self.selected()
        if facts is not None:
            action(facts["id"])

    def _start(
        self,
        title: str,
        words: Sequence[str],
        whenDone: Callable[[JobResult], None] | None = None,
    ) -> None:
        self.ui.weightsStageLabel.text = title
        self._calls.start(commandJob(title, ["weights", *words]), whenDone or self._onDone)
        self._showState()

    def _onListed(self, result: JobResult) -> None:
        self._isListing = False
        self._onEnded(result, reading=True)
        if result.succeeded:
            self.weights = [dict(facts) for facts in result.content.get("weights", [])]
            self.folder = str(result.content.get("folder", ""))
            self._fill()
        self.changed.emit(self.weights)
        self._showState()

    def _onDone(self, result: JobResult) -> None:
        self._onEnded(result)
        text = self.ui.weightsStageLabel.text
        self.refresh()
        self.ui.weightsStageLabel.text = text

    def _onEnded(self, result: JobResult, *, reading: bool = False) -> None:
        self.ui.weightsProgressBar.visible = False
        if result.error is not None:
            self.ui.weightsStageLabel.text = f"{result.error.message} {result.error.hint}".strip()
            self.failed.emit(result.error)
        elif not result.succeeded:
            self.ui.weightsStageLabel.text = _("Cancelled. A download goes on where it stopped.")
        elif not reading:
            self.ui.weightsStageLabel.text = _("{job}: done.").format(job=result.name)
        elif self.ui.weightsStageLabel.text == result.name:
            self.ui.weightsStageLabel.text = ""
        self._showState()

    def _onProgress(self, stage: str, fraction: float, secondsLeft: float | None) -> None:
        self.ui.weightsProgressBar.visible = True
        self.ui.weightsProgressBar.value = round(100 * fraction)
        left = "" if secondsLeft is None else _("{n:.0f} s left").format(n=secondsLeft)
        self.ui.weightsStageLabel.text = f"{stageTitle(stage)} {left}".strip()

    def _onMessage(self, _level: str, text: str) -> None:
        self.ui.weightsStageLabel.text = text

    def _fill(self) -> None:
        headers = (_("Weights"), _("Version"), _("State"), _("Size"), _("License"), _("Scores"))
        rows = [
            (
                f"{facts['title']} ({_('default')})" if facts.get("default") else facts["title"],
                facts["version"],
                facts["state"],
                f"{facts['size'] / MEGABYTE:.1f} MB",
                facts["license"],
                scoresText(facts.get("scores", {})),
            )
            for facts in self.weights
        ]
        fillTable(self.ui.weightsTable, headers, rows)
        if rows:
            self.ui.weightsTable.selectRow(0)

    def _showState(self) -> None:
        facts, isBusy = self.selected(), self.runner.isRunning()
        state = facts["state"] if facts else ""
        ui = self.ui
        ui.fetchWeightsButton.enabled = facts is not None and not isBusy and state in REMOTE
        for button in (ui.verifyWeightsButton, ui.exportWeightsButton):
            button.enabled = facts is not None and not isBusy and state != "missing"
        ui.removeWeightsButton.enabled = not isBusy and state in ("installed", "damaged")
        ui.importWeightsButton.enabled = ui.refreshWeightsButton.enabled = not isBusy
        ui.openWeightsButton.enabled = bool(self.folder)
        ui.cancelWeightsButton.enabled = isBusy
        ui.weightsLabel.text = self._description(facts)

    def _description(self, facts: Mapping[str, Any] | None) -> str:
        if facts is None:
            return _("No weights are known. Import an archive to add some.") if self.folder else ""
        url = qt.QUrl(facts["license_url"]).toString()
        terms = f'<a href="{url}">{facts["license"]}</a>' if url else facts["license"]
        return f"{facts['description']} {terms}"

    def _facts(self, weightsId: str) -> dict[str, Any] | None:
        for facts in self.weights:
            if facts["id"] == weightsId or (not weightsId and facts.get("default")):
                return facts
        return None


def scoresText(scores: Mapping[str, Any]) -> str:
    """Scores as one line, e.g. ``"DSC 0.87, NSD 0.85"``; nested ones are left out."""
    parts = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in scores.items()
        if isinstance(value, int | float | str)
    ]
    return ", ".join(parts)
