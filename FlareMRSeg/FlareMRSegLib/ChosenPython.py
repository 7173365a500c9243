"""The Python program the user chose for child processes; empty for Slicer's own."""

import os
from collections.abc import Mapping

from FlareMRSegLib.ChildProcess import PYTHON_VARIABLE, ChildProcess
from FlareMRSegLib.Settings import readSetting, writeSetting


def chosenPython() -> str:
    """Path of the program; the environment variable wins over the setting."""
    return os.environ.get(PYTHON_VARIABLE) or readSetting("Python")


def choosePython(path: str) -> None:
    """Remember a program; empty for Slicer's own."""
    writeSetting("Python", path)


def launch(command: list[str], environment: Mapping[str, str]) -> ChildProcess:
    """Start a job's child with the chosen program."""
    return ChildProcess([chosenPython() or command[0], *command[1:]], environment)
