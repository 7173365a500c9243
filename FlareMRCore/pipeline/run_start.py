"""Starting a run as a process of its own, which goes on when whoever started it is closed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from FlareMRCore.errors import FlareMRError, UsageError
from FlareMRCore.events import CANCEL_FILE_VARIABLE
from FlareMRCore.pipeline.run_log import RUN_NAME
from FlareMRCore.pipeline.run_pulse import ask_to_stop, is_alive, read_pulse
from FlareMRCore.pipeline.run_reading import read_run

OUTPUT_NAME = "output.txt"
"""What the process writes besides the log: lines of libraries, and its last words."""
START_TIMEOUT_S = 120.0
POLL_S = 0.05
LAST_LINES = 12


def start_detached(words: Sequence[str], folder: Path) -> int:
    """Run ``python -m FlareMRCore`` with `words` and wait until its record is in `folder`; its pid.

    Args:
        words: of ``recipe run``; all paths are absolute.
        folder: of the run.

    Raises:
        FlareMRError: it ended before, or it took too long; the message holds its last lines.
    """
    with (folder / OUTPUT_NAME).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "FlareMRCore", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(),
            **_detached(),
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (folder / RUN_NAME).exists():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            text = (folder / OUTPUT_NAME).read_text(encoding="utf-8", errors="replace")
            last = "\n".join(text.splitlines()[-LAST_LINES:])
            why = "ended before it began" if ended else "did not begin in time"
            raise FlareMRError(
                f"The run {why}: {last}",
                code="run.start",
                hint=f"All it said is in '{folder / OUTPUT_NAME}'.",
            )
        time.sleep(POLL_S)
    process.returncode = 0  # nobody waits for it, and Popen would warn of that
    return process.pid


def stop_run(folder: Path, *, wait_s: float = 0.0) -> bool:
    """Ask the run in `folder` to save its state and end; whether it has ended within `wait_s`.

    Raises:
        DatasetError: there is no run.
        UsageError: it has ended already.
    """
    if not is_alive(folder):
        read_run(folder, with_stages=False)
        raise UsageError(
            f"The run '{folder}' has ended already.",
            code="run.ended",
            hint="Start it again with 'recipe resume'.",
        )
    ask_to_stop(folder)
    deadline = time.monotonic() + wait_s
    while is_alive(folder) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return not is_alive(folder)


def require_ended(folder: Path) -> None:
    """Refuse to go on with a run that a process is working on.

    Raises:
        UsageError: it runs.
    """
    if is_alive(folder):
        pulse = read_pulse(folder)
        where = f" on {pulse.host}, process {pulse.pid}" if pulse else ""
        raise UsageError(
            f"The run '{folder}' is running{where}.",
            code="run.running",
            hint="Wait, or stop it with 'recipe stop'.",
        )


def _environment() -> dict[str, str]:
    """That of this process, without the request to stop that may be meant for this process."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, os.environ.get("PYTHONPATH", "")]
    changed = {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    changed |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    kept = {key: value for key, value in os.environ.items() if key != CANCEL_FILE_VARIABLE}
    return kept | changed


if sys.platform == "win32":

    def _detached() -> dict[str, Any]:
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}

else:

    def _detached() -> dict[str, Any]:
        return {"start_new_session": True}
