"""A child process whose output is read without blocking and whose whole tree can be ended.

`slicer.util.launchConsoleProcess` is not used: it drops lines that are not valid text and gives
the child no process group of its own, without which its grandchildren cannot be found.
"""

import codecs
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import FlareMRCore

STDOUT = "stdout"
STDERR = "stderr"
PYTHON_VARIABLE = "FLAREMR_PYTHON"
"""Environment variable that names another interpreter for child processes."""

CHUNK_BYTES = 65536
LONGEST_LINE = 1 << 20
"""Characters after which text without an end of line is passed on, so that it cannot pile up."""

WAITING_LINES = 5000
"""Lines read ahead; a child that writes faster than Slicer can show them has to wait."""

PUT_TIMEOUT_S = 0.2
KILL_TIMEOUT_S = 5.0


class ChildProcess:
    """Starts `command` (an argument list, never a shell line) with its own process group.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue(WAITING_LINES)
        self._closed = threading.Event()
        self._popen = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_ownGroup(),
        )
        self.pid = self._popen.pid
        streams = {STDOUT: self._popen.stdout, STDERR: self._popen.stderr}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in streams.items()
        ]
        for reader in self._readers:
            reader.start()

    def takeLines(self, limit: int) -> list[tuple[str, str]]:
        """Up to `limit` lines that arrived, each with the name of its stream; does not wait."""
        lines: list[tuple[str, str]] = []
        with suppress(queue.Empty):
            while len(lines) < limit:
                lines.append(self._lines.get_nowait())
        return lines

    def exitCode(self) -> int | None:
        """Exit code, minus the signal number on POSIX; None while the child runs.

        What the child left running in its group is ended as soon as the child is gone.
        """
        if self._popen.returncode is None and self._hasEnded():
            self._killGroup()
            self._popen.wait()
        return self._popen.returncode

    def outputEnded(self) -> bool:
        """Whether everything the child wrote can be had from `takeLines`."""
        return not any(reader.is_alive() for reader in self._readers)

    def killTree(self) -> None:
        """End the child and everything it started, at once."""
        if self._popen.returncode is None:
            self._killGroup()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(KILL_TIMEOUT_S)

    def close(self) -> None:
        """End the tree if it still runs, and let go of the pipes."""
        self.killTree()
        self._closed.set()
        for reader in self._readers:
            reader.join(KILL_TIMEOUT_S)
        for stream, reader in zip(
            (self._popen.stdout, self._popen.stderr), self._readers, strict=True
        ):
            # A reader that still runs has the pipe open because somebody outside holds its end.
            if stream is not None and not reader.is_alive():
                stream.close()

    def _hasEnded(self) -> bool:
        if not hasattr(os, "waitid"):
            return self._popen.poll() is not None
        # Looking without collecting: as long as the child is a zombie, its group id is its own.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:
            return True

    def _killGroup(self) -> None:
        if sys.platform == "win32":
            command = ["taskkill", "/F", "/T", "/PID", str(self.pid)]
            flags = subprocess.CREATE_NO_WINDOW
            subprocess.run(command, capture_output=True, check=False, creationflags=flags)
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self, name: str, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = ""
        with suppress(OSError, ValueError):  # the pipe may be closed from the other side
            while chunk := os.read(stream.fileno(), CHUNK_BYTES):
                *complete, pending = (pending + decoder.decode(chunk)).split("\n")
                if len(pending) > LONGEST_LINE:
                    complete, pending = [*complete, pending], ""
                for line in complete:
                    self._put(name, line)
        pending += decoder.decode(b"", True)
        if pending:
            self._put(name, pending)

    def _put(self, name: str, line: str) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._lines.put((name, line.rstrip("\r")), timeout=PUT_TIMEOUT_S)
                return


def engineCommand(words: Sequence[str]) -> list[str]:
    """Argument list that runs FlareMRCore's command line with `words`."""
    return [pythonExecutable(), "-m", "FlareMRCore", *words]


def pythonExecutable() -> str:
    """The interpreter for child processes: PythonSlicer in Slicer, else the running one."""
    chosen = os.environ.get(PYTHON_VARIABLE)
    if chosen:
        return chosen
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    return shutil.which("PythonSlicer") or sys.executable


def childEnvironment() -> dict[str, str]:
    """Environment for children; that of this process is not touched."""
    environment = _startupEnvironment()
    paths = [str(Path(FlareMRCore.__file__).resolve().parents[1]), environment.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONIOENCODING"] = "utf-8"
    return environment


def _startupEnvironment() -> dict[str, str]:
    """As it was before Slicer's launcher set its paths; PythonSlicer sets its own ones."""
    try:
        import slicer.util

        return dict(slicer.util.startupEnvironment())
    except (ImportError, AttributeError):  # no Slicer application here
        return dict(os.environ)


def _ownGroup() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
