"""A job for a child process, and how it ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"

Prepare = Callable[[Path], Sequence[str]]
Collect = Callable[[Path, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Job:
    """One run of ``python -m FlareMRCore``.

    Attributes:
        name: what people call it.
        prepare: writes what the child needs into an empty temporary folder, when the job's turn
            has come, and returns the words after ``python -m FlareMRCore``.
        collect: takes the results out of that folder, given the content of the result event;
            what it returns becomes `JobResult.value`. The folder is deleted afterwards.
    """

    name: str
    prepare: Prepare
    collect: Collect | None = None


def commandJob(name: str, words: Sequence[str]) -> Job:
    """A job that needs no files, e.g. ``commandJob("Devices", ["devices"])``."""
    return Job(name, lambda _folder: list(words))


@dataclass(frozen=True)
class JobError:
    """Why a job failed: `code` and `hint` as in `FlareMRCore.errors`, or ``process.*``."""

    code: str
    message: str
    hint: str = ""
    exitCode: int = 1


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        state: `DONE`, `FAILED` or `CANCELLED`.
        exitCode: of the child; None if it never ran.
        error: why, if it failed.
        content: fields of the child's result event; empty if there was none.
        value: what `Job.collect` returned.
        log: last lines of the child's output.
        folder: temporary folder that was kept because the job failed; None otherwise.
    """

    jobId: int
    name: str
    state: str
    exitCode: int | None = None
    error: JobError | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    seconds: float = 0.0
    log: str = ""
    folder: Path | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the results are there."""
        return self.state == DONE
