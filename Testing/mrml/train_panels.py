"""FlareMRTrain's panels for tests: stand-ins for Slicer's widgets, real MRML, real processes."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
from PySide6 import QtWidgets

from FlareMRCore.cli.main import main
from Testing.mrml import stand_in_qt

UI = Path(__file__).resolve().parents[2] / "FlareMRTrain" / "Resources" / "UI"
TABS = ("Dataset", "Recipe", "Run", "Look", "Review", "Result")
TIMEOUT_S = 60.0


class AnswersStandIn:
    """Stand-in for Dialogs: agrees, and returns the path it was given."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.questions: list[str] = []

    def confirm(self, text: str) -> bool:
        self.questions.append(text)
        return True

    def openFiles(self, *_words: Any) -> list[Path]:  # noqa: N802 - its interface
        return [self.path] if self.path else []

    def openFile(self, *_words: Any) -> Path | None:  # noqa: N802 - its interface
        return self.path

    openFolder = saveFile = openFile  # noqa: N815 - its interface


class InProcess:
    """Stand-in for a child process: the engine's command line, run here and at once."""

    def __init__(self, command: list[str], _environment: Mapping[str, str]) -> None:
        words = command[command.index("FlareMRCore") + 1 :]
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            self._code = main(words)
        self._lines = [("stdout", line) for line in output.getvalue().splitlines()]

    def takeLines(self, limit: int) -> list[tuple[str, str]]:  # noqa: N802 - its interface
        taken, self._lines = self._lines[:limit], self._lines[limit:]
        return taken

    def exitCode(self) -> int:  # noqa: N802 - its interface
        return self._code

    def outputEnded(self) -> bool:  # noqa: N802 - its interface
        return True

    def killTree(self) -> None:  # noqa: N802 - its interface
        """It has ended."""

    close = killTree


@contextmanager
def train_application() -> Iterator[QtWidgets.QApplication]:
    """A Qt application with stand-ins for Slicer's modules; ours are forgotten afterwards."""
    before = dict(sys.modules)
    stand_in_qt.install()
    found = QtWidgets.QApplication.instance() or QtWidgets.QApplication(
        ["tests", "-platform", "offscreen"]
    )
    assert isinstance(found, QtWidgets.QApplication)
    yield found
    ours = [name for name in sys.modules if name.startswith(("FlareMRSegLib", "FlareMRTrainLib"))]
    for name in {"qt", "slicer.parameterNodeWrapper", *ours} - set(before):
        del sys.modules[name]


@contextmanager
def train_panels(
    application: QtWidgets.QApplication, store: Path, launch: Any = None
) -> Iterator[Any]:
    """The panels in an empty scene, with a new parameter node that names `store`.

    Args:
        application: from `train_application`.
        store: folder of the store.
        launch: starts commands, e.g. `InProcess`; None for real processes.
    """
    texts: list[str] = []
    clipboard = SimpleNamespace(setText=texts.append, text=lambda: texts[-1])
    slicer.app.clipboard = lambda: clipboard
    slicer.app.processEvents = application.processEvents
    from FlareMRSegLib.JobRunner import JobRunner
    from FlareMRTrainLib.TrainPanels import TrainPanels
    from FlareMRTrainLib.TrainParameterNode import FlareMRTrainParameterNode
    from FlareMRTrainLib.TrainSession import TrainSession

    loaded = {name: stand_in_qt.loadUi(UI / f"FlareMRTrain{name}.ui") for name in TABS}
    top, ui = stand_in_qt.loadUi(UI / "FlareMRTrain.ui")
    runner = JobRunner(launch) if launch is not None else JobRunner()
    session = TrainSession(runner, AnswersStandIn())
    panels = TrainPanels({name: part for name, (_, part) in loaded.items()}, ui, session)
    node = FlareMRTrainParameterNode()
    node.storeFolder = str(store)
    panels.setParameterNode(node)
    try:
        yield panels
    finally:
        panels.close()
        session.close()
        del loaded, top


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Let Qt work until `condition` is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        slicer.app.processEvents()
        time.sleep(0.01)


def wait_for_commands(panels: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Let Qt work until no command runs."""
    wait_until(lambda: not panels.session.isBusy(), "commands", timeout_s)
