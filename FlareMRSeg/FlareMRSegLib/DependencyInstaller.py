"""What must be installed, what is, and installing it; the only file that knows pip.

Nothing is looked for or installed before somebody calls a method.
"""

import importlib.metadata
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRSegLib.Job import JobResult, commandJob
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Translation import tr as _

TORCH = "torch"
GPU = "gpu"
WEIGHTS = "weights"
COMPONENTS = "components"
REGISTRATION = "registration"

TORCH_REQUIREMENT = ">=2.4,!=2.9.*"
REQUIREMENTS = {
    COMPONENTS: "connected-components-3d>=3.12",
    REGISTRATION: "antspyx>=0.5",
}
PROTECTED = ("numpy", "scipy", "SimpleITK", "vtk", "torch")
"""Packages that no installation of ours may replace, in their present versions."""

DISTRIBUTIONS = {COMPONENTS: "connected-components-3d", REGISTRATION: "antspyx"}

OK = "ok"
WARNING = "warning"
MISSING = "missing"
UNKNOWN = "unknown"

Ask = Callable[[str], bool]
Install = Callable[[str], None]


@dataclass(frozen=True)
class StatusRow:
    """One line of the panel.

    Attributes:
        id: `TORCH`, `GPU`, `WEIGHTS`, `COMPONENTS` or `REGISTRATION`.
        title: what people call it.
        state: `OK`, `WARNING`, `MISSING` or `UNKNOWN`.
        text: the state in words.
        canInstall: whether `DependencyInstaller.install` can do something about it.
        isOptional: whether segmentation works without it.
    """

    id: str
    title: str
    state: str
    text: str
    canInstall: bool = False
    isOptional: bool = False


class DependencyInstaller:
    """Asks a child process what there is, and installs what the user agrees to.

    Signals: `refreshed` (rows), `failed` (JobError).

    Args:
        runner: runs the child that looks.
        ask: puts one question to the user and returns the answer.
        installPackage: installs one requirement; by default with pip into Slicer.
        torchLogic: gives the logic of the PyTorch extension, or None if that is not installed.
        installExtension: installs a Slicer extension by name; False if it could not.
    """

    def __init__(
        self,
        runner: JobRunner,
        ask: Ask,
        *,
        installPackage: Install | None = None,
        torchLogic: Callable[[], Any] | None = None,
        installExtension: Callable[[str], bool] | None = None,
    ) -> None:
        self.refreshed = Signal("rows")
        self.failed = Signal("error")
        self.rows: tuple[StatusRow, ...] = ()
        self._runner = runner
        self._ask = ask
        self._installPackage = installPackage or installWithPip
        self._torchLogic = torchLogic or pyTorchLogic
        self._installExtension = installExtension or installSlicerExtension
        self._jobId: int | None = None
        self._diagnosis: Mapping[str, Any] = {}
        runner.finished.connect(self._onFinished)

    def refresh(self) -> None:
        """Look again; `refreshed` follows."""
        if self._jobId is None:
            self._jobId = 0  # a job that cannot be started ends before its number is known
            self._jobId = self._runner.start(commandJob(_("Looking at the setup"), ["doctor"]))
            if self._runner.currentJobId() is None:
                self._jobId = None

    def isReady(self) -> bool:
        """Whether the last look found everything a segmentation needs."""
        needed = [row for row in self.rows if not row.isOptional]
        return bool(needed) and all(row.state != MISSING for row in needed)

    def reportText(self) -> str:
        """What the last look found, to paste in an issue; empty before the first one."""
        lines: list[str] = []
        for title, facts in self._diagnosis.get("sections", {}).items():
            lines += [f"[{title}]", *(f"{name}: {value}" for name, value in facts.items())]
        if lines:
            lines += ["[problems]", *(f"- {text}" for text in self._problems() or ["none found"])]
        return "\n".join(lines)

    def install(self, rowId: str) -> bool:
        """Ask one question and install; whether it was done. Look again afterwards.

        Raises:
            RuntimeError: the installation failed; the message says how.
        """
        if rowId in (TORCH, GPU):
            return self._installTorch()
        requirement = REQUIREMENTS[rowId]
        question = _(
            "Install the Python package '{package}' from the Python Package Index into Slicer?"
        )
        if not self._ask(question.format(package=requirement)):
            return False
        self._installPackage(requirement)
        return True

    def close(self) -> None:
        """Listen to the runner no more."""
        self._runner.finished.disconnect(self._onFinished)

    def _installTorch(self) -> bool:
        logic = self._torchLogic()
        if logic is None:
            return self._installTorchExtension()
        question = _(
            "Install PyTorch into Slicer? The download takes 0.2 GB, or about 3 GB for NVIDIA "
            "graphics cards. A PyTorch that is already there is replaced if it does not fit."
        )
        if not self._ask(question):
            return False
        # The question was asked above; the extension must not ask a second time.
        found = logic.installTorch(askConfirmation=False, torchVersionRequirement=TORCH_REQUIREMENT)
        if found is None:
            raise RuntimeError(_("The PyTorch extension could not install PyTorch."))
        return True

    def _installTorchExtension(self) -> bool:
        question = _(
            "PyTorch is installed by the Slicer extension 'PyTorch', which is missing. Install "
            "that extension now? Slicer must be restarted afterwards."
        )
        if not self._ask(question):
            return False
        if not self._installExtension("PyTorch"):
            raise RuntimeError(
                _("Install the extension 'PyTorch' in the Extensions Manager, restart, try again.")
            )
        return True

    def _onFinished(self, result: JobResult) -> None:
        # Number 0 stands for a job of ours that could not even be started.
        if self._jobId is None or self._jobId not in (0, result.jobId):
            return
        self._jobId = None
        if result.error is not None:
            self.failed.emit(result.error)
        elif result.succeeded:
            self._diagnosis = result.content
            self.rows = statusRows(result.content)
            self.refreshed.emit(self.rows)

    def _problems(self) -> list[str]:
        return [str(text) for text in self._diagnosis.get("problems", [])]


def statusRows(diagnosis: Mapping[str, Any]) -> tuple[StatusRow, ...]:
    """Rows out of what the verb `doctor` reports."""
    sections = diagnosis.get("sections", {})
    problems = [str(text) for text in diagnosis.get("problems", [])]
    torch = sections.get("torch", {})
    versions = sections.get("versions", {})
    return (
        _torchRow(torch, problems),
        _gpuRow(torch, problems),
        _weightsRow(sections.get("weights", {}), problems),
        _packageRow(COMPONENTS, versions, isOptional=False),
        _packageRow(REGISTRATION, versions, isOptional=True),
    )


def _torchRow(facts: Mapping[str, str], problems: list[str]) -> StatusRow:
    version = facts.get("torch", "")
    isThere = bool(version) and "cannot" not in version
    broken = next((text for text in problems if text.startswith("torch cannot")), "")
    text = version if isThere else broken or _("PyTorch is not installed.")
    return StatusRow(TORCH, _("PyTorch"), OK if isThere else MISSING, text, not isThere)


def _gpuRow(facts: Mapping[str, str], problems: list[str]) -> StatusRow:
    """Having no graphics card is fine; having one that is not used is worth a word."""
    title = _("Graphics card")
    problem = next((text for text in problems if text.startswith("A graphics card")), "")
    if problem:
        return StatusRow(GPU, title, WARNING, problem, canInstall=True, isOptional=True)
    cards = [text for name, text in facts.items() if name.startswith(("cuda", "mps"))]
    text = "; ".join(cards) or _("None that PyTorch can use; the processor is used.")
    return StatusRow(GPU, title, OK, text, isOptional=True)


def _weightsRow(facts: Mapping[str, str], problems: list[str]) -> StatusRow:
    title = _("Weights")
    about = ("The default weights", "No weights", "Problems with weights")
    problem = next((text for text in problems if text.startswith(about)), "")
    if problem:
        return StatusRow(WEIGHTS, title, MISSING, problem)
    ids = [name for name in facts if name != "folder"]
    return StatusRow(WEIGHTS, title, OK if ids else UNKNOWN, ", ".join(ids))


def _packageRow(rowId: str, versions: Mapping[str, str], *, isOptional: bool) -> StatusRow:
    titles = {COMPONENTS: _("Connected components"), REGISTRATION: _("Registration (training)")}
    name = DISTRIBUTIONS[rowId]
    version = versions.get(name) or _installedVersion(name)
    if version and version != "not installed":
        text, state = f"{name} {version}", OK
    else:
        text = _("{package} is not installed.").format(package=name)
        state = WARNING if isOptional else MISSING
    return StatusRow(rowId, titles[rowId], state, text, state != OK, isOptional)


def _installedVersion(distribution: str) -> str:
    """Version of a package of this interpreter, which child processes share; nothing is loaded."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def pyTorchLogic() -> Any:
    """Logic of the PyTorch extension; None if that is not installed."""
    try:
        import PyTorchUtils
    except ImportError:
        return None
    return PyTorchUtils.PyTorchUtilsLogic()


def installWithPip(requirement: str) -> None:
    """Install one requirement into Slicer's Python; the packages Slicer brings stay as they are.

    Raises:
        RuntimeError: pip failed, or the package cannot live with Slicer's packages.
    """
    import slicer.util

    pins = [f"{name}=={version}" for name in PROTECTED if (version := _installedVersion(name))]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        # One text with forward slashes is split alike by every version of Slicer and system.
        words = shlex.join(["--constraint", constraints.as_posix(), requirement])
        try:
            slicer.util.pip_install(words)
        except Exception as error:
            text = _("'{package}' could not be installed next to the packages of Slicer: {reason}")
            raise RuntimeError(text.format(package=requirement, reason=error)) from error


def installSlicerExtension(name: str) -> bool:
    """Install an extension from the server; False where there is no extensions manager."""
    import slicer

    model = getattr(slicer.app, "extensionsManagerModel", lambda: None)()
    if model is None:
        return False
    model.setInteractive(False)
    return bool(model.installExtensionFromServer(name))
