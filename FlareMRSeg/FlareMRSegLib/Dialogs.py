"""Every question and file dialog of the module; under ``--testing`` none of them opens."""

from collections.abc import Sequence
from pathlib import Path

import qt
import slicer

from FlareMRSegLib.Settings import readSetting, writeSetting


class Dialogs:
    """Asks the user. During a test every question is answered with no, every path is empty."""

    def confirm(self, text: str) -> bool:
        """Whether the user agrees to `text`."""
        if self._isTest():
            return False
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle="FlareMR"))

    def openFiles(self, title: str, filters: Sequence[str]) -> list[Path]:
        """Existing files; none if the user cancels."""
        if self._isTest():
            return []
        folder, joined = self._lastFolder(), ";;".join(filters)
        names = qt.QFileDialog.getOpenFileNames(slicer.util.mainWindow(), title, folder, joined)
        return self._remember([Path(name) for name in names])

    def openFile(self, title: str, filters: Sequence[str]) -> Path | None:
        """One existing file; None if the user cancels."""
        if self._isTest():
            return None
        folder, joined = self._lastFolder(), ";;".join(filters)
        name = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, folder, joined)
        return next(iter(self._remember([Path(name)] if name else [])), None)

    def openFolder(self, title: str) -> Path | None:
        """An existing folder; None if the user cancels."""
        if self._isTest():
            return None
        parent, folder = slicer.util.mainWindow(), self._lastFolder()
        name = qt.QFileDialog.getExistingDirectory(parent, title, folder)
        return next(iter(self._remember([Path(name)] if name else [])), None)

    def saveFile(self, title: str, name: str, filters: Sequence[str]) -> Path | None:
        """A file to write, which Qt has asked about if it exists; None if the user cancels."""
        if self._isTest():
            return None
        start, joined = str(Path(self._lastFolder()) / name), ";;".join(filters)
        chosen = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, start, joined)
        return next(iter(self._remember([Path(chosen)] if chosen else [])), None)

    def _isTest(self) -> bool:
        return bool(slicer.app.testingEnabled())

    def _lastFolder(self) -> str:
        return readSetting("LastFolder")

    def _remember(self, paths: list[Path]) -> list[Path]:
        if paths:
            folder = paths[0] if paths[0].is_dir() else paths[0].parent
            writeSetting("LastFolder", str(folder))
        return paths
