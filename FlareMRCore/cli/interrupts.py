"""How a running job learns that it shall stop: Ctrl-C, SIGTERM or the cancel file."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from FlareMRCore.errors import Cancelled
from FlareMRCore.events import CancelFile


@dataclass(slots=True)
class Cancellation:
    """True, when called, once the user asked to stop."""

    cancel_file: CancelFile = field(default_factory=CancelFile.from_environment)
    asked: bool = False

    def __call__(self) -> bool:
        """Whether the job shall stop."""
        return self.asked or self.cancel_file()


@contextlib.contextmanager
def watch_signals(cancellation: Cancellation) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a request to stop; the second one interrupts at once.

    Outside the main thread nothing is changed, because Python allows handlers there only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        if cancellation.asked:
            raise KeyboardInterrupt
        cancellation.asked = True

    names = [name for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), ask) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            if handler is not None:
                signal.signal(getattr(signal, name), handler)


def leave(code: int) -> NoReturn:
    """End the process with `code`; at once if the user cancelled.

    Taking torch apart may last seconds, and who cancelled waits for the end of the process.
    """
    if code != Cancelled.exit_code:
        sys.exit(code)
    for child in multiprocessing.active_children():
        child.terminate()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader may be gone
            stream.flush()
    os._exit(code)
