"""What the panels share: the parameter node, the commands that run, and the run that is shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from FlareMRSegLib.Dialogs import Dialogs
from FlareMRSegLib.Job import Job, JobResult, commandJob
from FlareMRSegLib.JobCalls import JobCalls, WhenDone
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.Settings import readSetting, writeSetting
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.run_reading import RunReading, read_run, runs_of

STORE_SETTING = "TrainStore"
STORE_NAME = "FlareMR-store"


class TrainSession:
    """Given to every panel.

    Signals: `changed` (): the parameter node is another one or has other values; `progress`
    (stage, fraction, secondsLeft) of a command; `stateText` (text): a sentence for the line below
    the tabs; `tabWanted` (name): a panel wants another tab to be shown; `runChanged` (): files of
    runs were changed from here, look at them now.

    Attributes:
        awaited: folder of a run whose end is to be told; None if there is none.

    Args:
        runner: runs the commands of the panels, one after another.
        dialogs: asks the user; replaced in tests.
    """

    def __init__(self, runner: JobRunner, dialogs: Dialogs | None = None) -> None:
        self.changed = Signal("")
        self.stateText = Signal("text")
        self.tabWanted = Signal("name")
        self.runChanged = Signal("")
        self.runner = runner
        self.progress = runner.progress
        self.dialogs = dialogs if dialogs is not None else Dialogs()
        self.parameterNode: Any = None
        self.awaited: Path | None = None
        self._calls = JobCalls(runner)

    def command(self, title: str, words: Sequence[str], whenDone: WhenDone) -> int:
        """Run ``python -m FlareMRCore`` with `words`; then call `whenDone` with the result.

        Give ``--json-progress`` among the words: the fields of the result event are then in
        `JobResult.content`. Errors are told in the line below the tabs, too.
        """
        return self.start(commandJob(title, words), whenDone)

    def start(self, job: Job, whenDone: WhenDone) -> int:
        """Run a job that needs files, see `Job`; then call `whenDone` with the result."""
        self.stateText.emit(_("{title}...").format(title=job.name))

        def tell(result: JobResult) -> None:
            self.stateText.emit(endText(result))
            whenDone(result)

        return self._calls.start(job, tell)

    def isBusy(self) -> bool:
        """Whether a command runs or waits."""
        return self.runner.isRunning()

    def store(self) -> Path:
        """Folder of the store."""
        node = self.parameterNode
        chosen = node.storeFolder if node is not None else ""
        return Path(chosen or readSetting(STORE_SETTING) or Path.home() / STORE_NAME)

    def chooseStore(self, folder: Path) -> None:
        """Use another store, now and the next time."""
        writeSetting(STORE_SETTING, str(folder))
        if self.parameterNode is not None and self.parameterNode.storeFolder != str(folder):
            self.parameterNode.storeFolder = str(folder)
            self.parameterNode.runFolder = ""

    def chooseRun(self, folder: Path | None) -> None:
        """Show a run; None for the newest of the store."""
        if self.parameterNode is not None:
            self.parameterNode.runFolder = "" if folder is None else str(folder)

    def runs(self) -> tuple[RunReading, ...]:
        """All runs of the store, newest first, without their stages."""
        return runs_of(self.store(), with_stages=False)

    def run(self) -> RunReading | None:
        """The run that is shown, as its files are now; None if there is none."""
        node = self.parameterNode
        newest = (run.folder for run in self.runs())
        chosen = Path(node.runFolder) if node is not None and node.runFolder else None
        folder = chosen or next(newest, None)
        try:
            return read_run(folder) if folder is not None else None
        except FlareMRError as error:
            self.stateText.emit(str(error))
            return None

    def close(self) -> None:
        """End the commands; runs go on."""
        self.runner.close()


def endText(result: JobResult) -> str:
    """How a command ended, as a sentence; what to do if it failed."""
    if result.error is not None:
        return f"{result.name}: {result.error.message} {result.error.hint}".strip()
    if result.succeeded:
        return _("{title}: done.").format(title=result.name)
    return _("{title}: cancelled.").format(title=result.name)
