"""Errors that end a job, each with an exit code, a stable identifier and what to do."""


class FlareMRError(Exception):
    """A failure with a message for people and a code for programs.

    Attributes:
        code: stable identifier such as ``"input.not-3d"``; the interface maps it to help.
        hint: one sentence that tells what to do; empty if nothing can be done.
        exit_code: process exit status of the command line (class attribute).
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str = "internal", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


def reason_of(error: BaseException) -> str:
    """What a failure says, on one line: that of the system without its number and path."""
    text = str(getattr(error, "strerror", None) or error).partition("\n")[0]
    return text or type(error).__name__


class UsageError(FlareMRError):
    """Wrong arguments or configuration."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe file that cannot be run; the message lists every mistake."""


class InputError(FlareMRError):
    """An input that cannot be used; the message names the file."""

    exit_code = 3


class VolumeFormatError(InputError):
    """A file that is not a readable 3-D scalar image."""


class GeometryError(InputError):
    """A grid that is degenerate, or two grids that should coincide and do not."""


class DatasetError(InputError):
    """A dataset manifest that contradicts itself or the files on disk."""


class WeightsError(FlareMRError):
    """Weights that are missing, incomplete or not what they claim to be."""

    exit_code = 4


class OutOfMemoryError(FlareMRError):
    """Not enough memory, after every smaller way was tried."""

    exit_code = 5


class BatchError(FlareMRError):
    """Some cases of a batch failed; the others are done."""

    exit_code = 6


class DependencyError(FlareMRError):
    """A package that this job needs is not installed."""

    exit_code = 7


class Cancelled(FlareMRError):  # noqa: N818 - it ends a job, but nothing went wrong
    """The user cancelled the job."""

    exit_code = 130

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message, code="cancelled")
