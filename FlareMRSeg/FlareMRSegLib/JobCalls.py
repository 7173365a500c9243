"""Starts jobs and calls back when each of them has ended."""

from collections.abc import Callable

from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.JobRunner import JobRunner

WhenDone = Callable[[JobResult], None]


class JobCalls:
    """The jobs that one panel started, each with the function that takes its result.

    Args:
        runner: may run jobs of others too.
    """

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner
        self._waiting: dict[int, WhenDone] = {}
        self._isStarting = False
        self._early: dict[int, JobResult] = {}
        runner.finished.connect(self._onFinished)

    def start(self, job: Job, whenDone: WhenDone) -> int:
        """Run `job` when it is its turn, then call `whenDone` with the result; its number."""
        self._isStarting = True
        try:
            jobId = self.runner.start(job)
        finally:
            self._isStarting = False
        # A job whose child cannot be started has ended before its number is known.
        result = self._early.pop(jobId, None)
        self._early.clear()
        if result is None:
            self._waiting[jobId] = whenDone
        else:
            whenDone(result)
        return jobId

    def count(self) -> int:
        """How many of the started jobs have not ended."""
        return len(self._waiting)

    def cancel(self) -> None:
        """Stop them all, the waiting ones first."""
        for jobId in sorted(self._waiting, reverse=True):
            self.runner.cancel(jobId)

    def _onFinished(self, result: JobResult) -> None:
        whenDone = self._waiting.pop(result.jobId, None)
        if whenDone is not None:
            whenDone(result)
        elif self._isStarting:
            self._early[result.jobId] = result
