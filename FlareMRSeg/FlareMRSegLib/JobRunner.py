"""Runs jobs in child processes, one after another; the only file that decides about processes."""

import itertools
import tempfile
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from FlareMRCore.events import CANCEL_FILE_VARIABLE, PREFIX
from FlareMRSegLib.ChildProcess import ChildProcess, childEnvironment, engineCommand
from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.RunningJob import RunningJob
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Ticker import defaultTicker, processApplicationEvents

GRACE_S = 3.0
"""How long a child may take to stop by itself after it was asked to."""

QUIT_GRACE_S = 0.5
"""The same when Slicer quits or the module is reloaded: nobody waits for long then."""

LINES_PER_POLL = 500
KEPT_RESULTS = 50
WAIT_STEP_S = 0.02


class Process(Protocol):
    """What a launcher returns; see `ChildProcess`."""

    def takeLines(self, limit: int) -> list[tuple[str, str]]: ...
    def exitCode(self) -> int | None: ...
    def outputEnded(self) -> bool: ...
    def killTree(self) -> None: ...
    def close(self) -> None: ...


class Ticker(Protocol):
    """Calls a function again and again while it is started; see `Ticker.py`."""

    def start(self, callback: Callable[[], None]) -> None: ...
    def stop(self) -> None: ...


Launch = Callable[[list[str], Mapping[str, str]], Process]


class JobRunner:
    """Starts, watches, cancels and queues jobs.

    Signals: `started` (jobId, name), `progress` (stage, fraction, secondsLeft or None),
    `message` (level, text), `logLine` (text), `finished` (JobResult), `queueChanged` (waiting).

    Args:
        launch: starts a command with an environment; replaced in tests.
        graceSeconds: time a child has to stop after `cancel` before its tree is killed.
        ticker: calls `poll` regularly; by default a Qt timer where there is Qt.
        folderRoot: where temporary folders are made; by default the application's.
    """

    def __init__(
        self,
        launch: Launch = ChildProcess,
        *,
        graceSeconds: float = GRACE_S,
        ticker: Ticker | None = None,
        folderRoot: Path | None = None,
    ) -> None:
        self.started = Signal("jobId, name")
        self.progress = Signal("stage, fraction, secondsLeft")
        self.message = Signal("level, text")
        self.logLine = Signal("text")
        self.finished = Signal("result")
        self.queueChanged = Signal("waiting")
        self._launch = launch
        self._graceSeconds = graceSeconds
        self._ticker = ticker if ticker is not None else defaultTicker()
        self._folderRoot = folderRoot
        self._ids = itertools.count(1)
        self._queue: deque[tuple[int, Job]] = deque()
        self._running: RunningJob | None = None
        self._results: OrderedDict[int, JobResult] = OrderedDict()
        self._busy = False
        self._closed = False

    def start(self, job: Job) -> int:
        """Run `job`, now or after those that wait already; the number it is known by.

        `finished` of a job that cannot be started is emitted before this returns.
        """
        if self._closed:
            raise RuntimeError("This runner was closed.")
        jobId = next(self._ids)
        self._queue.append((jobId, job))
        self.queueChanged.emit(len(self._queue))
        self._startNext()
        return jobId

    def cancel(self, jobId: int | None = None) -> None:
        """Stop a running or waiting job, by default the running one; `finished` follows."""
        running = self._running
        if running is not None and jobId in (None, running.jobId):
            running.askToStop()
            return
        for entry in tuple(self._queue):
            if entry[0] == jobId:
                self._queue.remove(entry)
                self.queueChanged.emit(len(self._queue))
                self._tell(JobResult(entry[0], entry[1].name, "cancelled"))

    def cancelAll(self) -> None:
        """Stop the running job and all that wait."""
        for jobId in reversed(self.waiting()):
            self.cancel(jobId)
        self.cancel()

    def isRunning(self) -> bool:
        """Whether a job runs or waits."""
        return self._running is not None or bool(self._queue)

    def currentJobId(self) -> int | None:
        """Number of the running job."""
        return self._running.jobId if self._running else None

    def waiting(self) -> tuple[int, ...]:
        """Numbers of the waiting jobs, next one first."""
        return tuple(jobId for jobId, _job in self._queue)

    def poll(self) -> None:
        """Handle what happened since the last call; a timer calls this in Slicer."""
        running = self._running
        # Functions connected to signals may process events, and so the timer, in between.
        if running is None or self._busy:
            return
        self._busy = True
        try:
            self._handleLines(running, running.process.takeLines(LINES_PER_POLL))
            running.killIfOverdue(self._graceSeconds)
            ended = running.hasEnded()
        finally:
            self._busy = False
        if ended and self._running is running:
            self._finish(running)

    def wait(
        self, jobId: int | None = None, timeoutSeconds: float | None = None
    ) -> JobResult | None:
        """Wait until a job, or every job, ended; its result, None after the time is over.

        The application stays responsive. Without `jobId` the result is that of the last job.
        """
        deadline = time.monotonic() + timeoutSeconds if timeoutSeconds is not None else None
        while not self._closed and self._isPending(jobId):
            if deadline is not None and time.monotonic() > deadline:
                return None
            self.poll()
            processApplicationEvents()
            time.sleep(WAIT_STEP_S)
        if jobId is not None:
            return self._results.get(jobId)
        return next(reversed(self._results.values()), None)

    def close(self) -> None:
        """Stop everything without telling anybody: Slicer quits, or the module is reloaded."""
        self._closed = True
        self._ticker.stop()
        self._queue.clear()
        running, self._running = self._running, None
        for signal in self._signals():
            signal.disconnectAll()
        if running is None:
            return
        running.askToStop()
        deadline = time.monotonic() + QUIT_GRACE_S
        while running.process.exitCode() is None and time.monotonic() < deadline:
            time.sleep(WAIT_STEP_S)
        running.process.close()
        running.deleteFolder()

    def _signals(self) -> tuple[Signal, ...]:
        return (
            self.started,
            self.progress,
            self.message,
            self.logLine,
            self.finished,
            self.queueChanged,
        )

    def _isPending(self, jobId: int | None) -> bool:
        if jobId is None:
            return self.isRunning()
        return jobId == self.currentJobId() or jobId in self.waiting()

    def _startNext(self) -> None:
        while self._running is None and self._queue and not self._closed:
            jobId, job = self._queue.popleft()
            self.queueChanged.emit(len(self._queue))
            self._begin(jobId, job)

    def _begin(self, jobId: int, job: Job) -> None:
        running = RunningJob(jobId, job)
        try:
            running.folder = self._newFolder()
            words = [*job.prepare(running.folder), "--json-progress"]
            environment = childEnvironment() | {CANCEL_FILE_VARIABLE: str(running.cancelFile)}
            running.process = self._launch(engineCommand(words), environment)
        except Exception as error:  # noqa: BLE001 - whatever went wrong becomes the job's result
            running.deleteFolder()
            self._tell(running.notStarted(error))
            return
        self._running = running
        self._ticker.start(self.poll)
        self.started.emit(jobId, job.name)

    def _newFolder(self) -> Path:
        root = self._folderRoot or _temporaryRoot()
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="flaremr-", dir=root))

    def _handleLines(self, running: RunningJob, lines: list[tuple[str, str]]) -> None:
        for stream, text in ((stream, part) for stream, line in lines for part in split(line)):
            event = running.take(stream, text)
            if event is None:
                self.logLine.emit(text)
            elif event["event"] == "progress":
                self.progress.emit(*running.progressOf(event))
            elif event["event"] == "message":
                self.message.emit(str(event.get("level", "info")), str(event.get("text", "")))

    def _finish(self, running: RunningJob) -> None:
        self._busy = True
        try:
            while lines := running.process.takeLines(LINES_PER_POLL):
                self._handleLines(running, lines)
            running.process.close()
            result = running.conclude()
        finally:
            self._busy = False
        if self._closed:
            return
        self._running = None
        if not self._queue:
            self._ticker.stop()
        self._tell(result)
        self._startNext()

    def _tell(self, result: JobResult) -> None:
        self._results[result.jobId] = result
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)
        self.finished.emit(result)


def split(line: str) -> list[str]:
    """The line; in two if an event follows text that a library left without an end of line."""
    start = line.find(PREFIX)
    return [line[:start], line[start:]] if start > 0 else [line]


def _temporaryRoot() -> Path:
    """Folder for temporary files: the one the user chose in Slicer, else the system's."""
    try:
        import slicer

        return Path(slicer.app.temporaryPath)
    except (ImportError, AttributeError):
        return Path(tempfile.gettempdir())
