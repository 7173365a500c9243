"""A job while its child runs: what it told so far, and how that ends."""

import logging
import shutil
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from FlareMRCore.events import parse_event
from FlareMRSegLib.ChildProcess import STDOUT
from FlareMRSegLib.Job import CANCELLED, DONE, FAILED, Job, JobError, JobResult
from FlareMRSegLib.Progress import JobProgress

LOG_LINES = 2000
LOG_FILE = "log.txt"
CANCEL_FILE = "cancel"
CANCELLED_EXIT = 130
MEMORY_EXIT = 5
SIGKILL = 9

OUTPUT_END_S = 1.0
"""How long output may come after the end of the child, from whoever holds its pipe open."""

logger = logging.getLogger(__name__)


@dataclass
class RunningJob:
    """Collects the events of one child and turns them into a `JobResult`."""

    jobId: int
    job: Job
    folder: Path | None = None
    process: Any = None
    startedS: float = field(default_factory=time.monotonic)
    stopAskedS: float | None = None
    endedS: float | None = None
    content: dict[str, Any] | None = None
    error: JobError | None = None
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    _progress: JobProgress = field(default_factory=JobProgress)

    @property
    def cancelFile(self) -> Path:
        """The file for which the child looks."""
        return (self.folder or Path()) / CANCEL_FILE

    def deleteFolder(self) -> None:
        """Delete the temporary folder; a file that is still open elsewhere may keep it."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.exists():
                logger.warning("The temporary folder '%s' could not be deleted.", self.folder)

    def take(self, stream: str, text: str) -> Mapping[str, Any] | None:
        """Remember a line of the child; the event it is, or None if it is a line for the log."""
        event = parse_event(text) if stream == STDOUT else None
        if event is None:
            self.log.append(text)
        elif event["event"] == "message":
            self.log.append(f"{event.get('level', 'info')}: {event.get('text', '')}")
        elif event["event"] == "result":
            self.content = {key: value for key, value in event.items() if key != "event"}
        elif event["event"] == "error":
            self.error = _reportedError(event)
            self.log.append(f"error: {self.error.message} {self.error.hint}".rstrip())
        return event

    def progressOf(self, event: Mapping[str, Any]) -> tuple[str, float, float | None]:
        """Stage, fraction and seconds left of a progress event; broken numbers count as 0."""
        stage = str(event.get("stage", ""))
        done, total = (_number(event.get(key)) or 0.0 for key in ("done", "total"))
        return (
            stage,
            self._progress.fraction(stage, done, total),
            _number(event.get("seconds_left")),
        )

    def askToStop(self) -> None:
        """Make the file for which the child looks; asking twice changes nothing."""
        if self.stopAskedS is None:
            self.stopAskedS = time.monotonic()
            if self.folder is not None:
                self.cancelFile.touch()

    def killIfOverdue(self, graceSeconds: float) -> None:
        """End the whole tree if it was asked to stop longer than `graceSeconds` ago."""
        if self.stopAskedS is not None and time.monotonic() - self.stopAskedS > graceSeconds:
            self.process.killTree()

    def hasEnded(self) -> bool:
        """Whether the child is gone and its output was read."""
        if self.process.exitCode() is None:
            return False
        if self.endedS is None:
            self.endedS = time.monotonic()
        return self.process.outputEnded() or time.monotonic() - self.endedS > OUTPUT_END_S

    def notStarted(self, error: Exception) -> JobResult:
        """The result of a job whose files could not be made or whose child did not start."""
        logger.error("%s could not be started", self.job.name, exc_info=error)
        code = getattr(error, "code", "process.start")
        hint = getattr(error, "hint", "")
        return self._result(FAILED, JobError(str(code), _plainText(error), str(hint)))

    def conclude(self) -> JobResult:
        """Take the results, delete or keep the folder, and say how it ended."""
        exitCode = self.process.exitCode()
        if self.stopAskedS is not None or exitCode == CANCELLED_EXIT:
            return self._deleted(self._result(CANCELLED))
        error = self._whyFailed(exitCode)
        if error is not None:
            return self._kept(error)
        try:
            value = self.job.collect(self.folder, self.content or {}) if self.job.collect else None
        except Exception as failure:
            logger.exception("The results of %s could not be taken over", self.job.name)
            return self._kept(
                JobError(str(getattr(failure, "code", "result.load")), _plainText(failure))
            )
        return self._deleted(self._result(DONE, value=value))

    def _whyFailed(self, exitCode: int) -> JobError | None:
        if exitCode == 0 and self.content is not None:
            return None
        if self.error is not None:
            return self.error
        last = "\n".join(list(self.log)[-5:])
        if exitCode == 0:
            return JobError("process.no-result", "The process ended without a result.", last, 1)
        if exitCode == MEMORY_EXIT:
            return JobError("memory.exhausted", "The process ran out of memory.", last, exitCode)
        if exitCode in (-SIGKILL, 128 + SIGKILL):
            return JobError("process.killed", "The process was ended from outside.", last, exitCode)
        if exitCode < 0 or exitCode > 128:
            text = f"The process crashed (exit code {exitCode})."
            return JobError("process.crashed", text, last, exitCode)
        text = f"The process ended with exit code {exitCode}."
        return JobError("process.failed", text, last, exitCode)

    def _result(self, state: str, error: JobError | None = None, value: Any = None) -> JobResult:
        return JobResult(
            jobId=self.jobId,
            name=self.job.name,
            state=state,
            exitCode=self.process.exitCode() if self.process is not None else None,
            error=error,
            content=self.content or {},
            value=value,
            seconds=time.monotonic() - self.startedS,
            log="\n".join(self.log),
        )

    def _deleted(self, result: JobResult) -> JobResult:
        self.deleteFolder()
        return result

    def _kept(self, error: JobError) -> JobResult:
        """Keep the folder with the log, for whoever looks into the failure."""
        result = self._result(FAILED, error)
        (self.folder or Path()).joinpath(LOG_FILE).write_text(result.log + "\n", encoding="utf-8")
        return JobResult(**{**vars(result), "folder": self.folder})


def _reportedError(event: Mapping[str, Any]) -> JobError:
    exitCode = _number(event.get("exit_code"))
    return JobError(
        code=str(event.get("code") or "internal"),
        message=str(event.get("message") or ""),
        hint=str(event.get("hint") or ""),
        exitCode=int(exitCode) if exitCode is not None else 1,
    )


def _number(value: Any) -> float | None:
    isNumber = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if isNumber else None


def _plainText(error: Exception) -> str:
    """The message without the hint, which travels beside it."""
    return Exception.__str__(error) or type(error).__name__
