"""For every error code what it means for the user and which one button helps."""

from collections.abc import Callable
from dataclasses import dataclass

from FlareMRSegLib.Job import JobError
from FlareMRSegLib.Translation import tr as _

COPY_REPORT = "copy-report"
RETRY = "retry"
OPEN_SETUP = "open-setup"
INSTALL_TORCH = "install-torch"
INSTALL_PACKAGES = "install-packages"
OPEN_WEIGHTS = "open-weights"
DOWNLOAD_WEIGHTS = "download-weights"
USE_FAST_MODE = "use-fast-mode"
USE_AUTO_DEVICE = "use-auto-device"
ALLOW_CT = "allow-ct"
CHOOSE_INPUT = "choose-input"
CHOOSE_OUTPUT = "choose-output"
CHOOSE_ORGANS = "choose-organs"
OPEN_LOG = "open-log"
NO_ACTION = "none"


@dataclass(frozen=True)
class ErrorHelp:
    """One message and one button.

    Attributes:
        title: what happened, a sentence.
        action: one of the constants of this file; the widget does it.
        actionLabel: text of the button.
    """

    title: str
    action: str
    actionLabel: str


def helpFor(code: str, exitCode: int = 1) -> ErrorHelp:
    """Help for an error code: that of the code, else of its family, else of the exit code."""
    titles = _titles()
    family = code.partition(".")[0]
    for key in (code, family, _familyOf(exitCode)):
        if key in titles:
            title, action = titles[key]
            return ErrorHelp(title, action, actionLabels()[action])
    title, action = titles["internal"]
    return ErrorHelp(title, action, actionLabels()[action])


def isKnown(code: str) -> bool:
    """Whether the code or its family has a message of its own."""
    titles = _titles()
    return code in titles or code.partition(".")[0] in titles


def textFor(error: JobError) -> str:
    """The whole message: what happened, what exactly, what to do."""
    parts = (helpFor(error.code, error.exitCode).title, error.message, error.hint)
    return "\n".join(part for part in parts if part)


def actionLabels() -> dict[str, str]:
    """Text of the button of every action."""
    return {
        COPY_REPORT: _("Copy report"),
        RETRY: _("Try again"),
        OPEN_SETUP: _("Open Setup"),
        INSTALL_TORCH: _("Install PyTorch"),
        INSTALL_PACKAGES: _("Install packages"),
        OPEN_WEIGHTS: _("Show weights"),
        DOWNLOAD_WEIGHTS: _("Download weights"),
        USE_FAST_MODE: _("Use the fast mode"),
        USE_AUTO_DEVICE: _("Choose device automatically"),
        ALLOW_CT: _("Segment it anyway"),
        CHOOSE_INPUT: _("Choose another input"),
        CHOOSE_OUTPUT: _("Choose another output"),
        CHOOSE_ORGANS: _("Choose organs"),
        OPEN_LOG: _("Show log"),
        NO_ACTION: "",
    }


def _familyOf(exitCode: int) -> str:
    families = {
        2: "usage",
        3: "input",
        4: "weights",
        5: "memory",
        6: "batch",
        7: "dependency",
        130: "cancelled",
    }
    return families.get(exitCode, "internal")


def _titles() -> dict[str, tuple[str, str]]:
    """Message and action by code or family; families are what stands before the dot."""
    parts: tuple[Callable[[], dict[str, tuple[str, str]]], ...] = (
        _inputTitles,
        _weightsTitles,
        _programTitles,
    )
    return {code: entry for part in parts for code, entry in part().items()}


def _inputTitles() -> dict[str, tuple[str, str]]:
    return {
        "input": (_("The input cannot be used."), CHOOSE_INPUT),
        "input.looks-like-ct": (
            _("The input looks like CT. The networks were made for MR; on CT they may be wrong."),
            ALLOW_CT,
        ),
        "input.constant": (_("All voxels of the input have the same value."), CHOOSE_INPUT),
        "input.not-3d": (_("The input is not a 3-D image."), CHOOSE_INPUT),
        "input.not-finite": (_("The input has voxels without a number."), CHOOSE_INPUT),
        "input.roi": (_("The region of interest misses the input."), CHOOSE_INPUT),
        "input.removed": (_("The input was removed during the run."), CHOOSE_INPUT),
        "geometry": (_("The grid of the image cannot be used."), CHOOSE_INPUT),
        "geometry.mismatch": (_("The result does not lie on the input."), COPY_REPORT),
        "dataset": (_("The set of images cannot be used."), CHOOSE_INPUT),
        "output": (_("The result cannot be written."), CHOOSE_OUTPUT),
        "output.disk-full": (_("The disk is full."), RETRY),
        "output.other-transform": (
            _("The chosen output lies under another transform than the input."),
            CHOOSE_OUTPUT,
        ),
        "batch": (_("Some of the images failed; the others are done."), RETRY),
    }


def _weightsTitles() -> dict[str, tuple[str, str]]:
    return {
        "weights": (_("The weights cannot be used."), OPEN_WEIGHTS),
        "weights.not-installed": (_("The weights are not on this computer."), DOWNLOAD_WEIGHTS),
        "weights.missing": (_("The weights are not on this computer."), DOWNLOAD_WEIGHTS),
        "weights.damaged": (_("The weights are damaged."), DOWNLOAD_WEIGHTS),
        "weights.mismatch": (_("The weights are not what they should be."), DOWNLOAD_WEIGHTS),
        "weights.download": (_("The download failed; it goes on where it stopped."), RETRY),
        "weights.disk": (_("The disk is too full for the weights."), RETRY),
        "network": (_("The weights do not fit their network."), OPEN_WEIGHTS),
    }


def _programTitles() -> dict[str, tuple[str, str]]:
    return {
        "memory": (_("There was not enough memory in any way."), USE_FAST_MODE),
        "dependency": (_("A needed Python package is missing."), INSTALL_PACKAGES),
        "dependency.torch": (_("PyTorch is not installed."), INSTALL_TORCH),
        "usage": (_("An option cannot be used."), COPY_REPORT),
        "usage.device": (_("The chosen device is not there."), USE_AUTO_DEVICE),
        "usage.organ": (_("An organ is not known."), CHOOSE_ORGANS),
        "recipe": (_("The recipe cannot be run."), OPEN_LOG),
        "run": (_("The run of the recipe cannot be used."), OPEN_LOG),
        "job": (_("The exported job cannot be used."), OPEN_LOG),
        "review": (_("The review could not be noted."), OPEN_LOG),
        "registration": (_("Two images could not be aligned."), OPEN_LOG),
        "store": (_("The folder for intermediate results cannot be used."), OPEN_LOG),
        "training": (_("The training failed."), OPEN_LOG),
        "process": (_("The process that segments stopped unexpectedly."), OPEN_LOG),
        "process.start": (_("The process that segments could not be started."), OPEN_SETUP),
        "process.killed": (
            _("The process was ended from outside, mostly because memory ran out."),
            USE_FAST_MODE,
        ),
        "result": (_("The result could not be loaded."), COPY_REPORT),
        "cancelled": (_("Cancelled."), NO_ACTION),
        "internal": (_("Something went wrong inside FlareMR."), COPY_REPORT),
    }
