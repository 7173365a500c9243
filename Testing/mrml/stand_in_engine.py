"""A stand-in for the engine's child process: does what its first word says, segments nothing.

It speaks the engine's protocol with the engine's own code, so that runners can be tested without
networks: progress, cancel, crash, running out of memory, garbage, grandchildren.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from FlareMRCore.errors import Cancelled, FlareMRError, OutOfMemoryError
from FlareMRCore.events import CancelFile, JsonLinesReporter

STEP_S = 0.02
GRANDCHILD = "import time; time.sleep(120)"


def steps(reporter: JsonLinesReporter, count: int, stage: str = "fine") -> None:
    """Report `count` steps of a stage; stops when asked to."""
    for done in range(count):
        reporter.advance(stage, done, count)
        time.sleep(STEP_S)
    reporter.advance(stage, count, count)


def write(text: str) -> None:
    """Write a line that is no event."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def grandchild() -> int:
    """Start a process that nobody waits for; it holds our output open."""
    return subprocess.Popen([sys.executable, "-c", GRANDCHILD]).pid


def behave(word: str, arguments: list[str], reporter: JsonLinesReporter) -> int:  # noqa: C901
    """Do what `word` says; the exit code."""
    if word == "echo":
        reporter.result({"arguments": arguments, "environment": dict(os.environ)})
    elif word == "work":
        for stage in ("load", "coarse", "fine"):
            steps(reporter, 5, stage)
        reporter.message("a warning", level="warning")
        write("plain line\nπ" + "x" * 10)
        reporter.result({"answer": 42})
    elif word == "long":
        steps(reporter, 5000)
    elif word == "stubborn":
        write(f"pids {os.getpid()} {grandchild()}")
        time.sleep(120)
    elif word == "leave-grandchild":
        write(f"pids {os.getpid()} {grandchild()}")
        reporter.result({})
    elif word == "garbage":
        sys.stdout.buffer.write(b"\xff\xfe\x00garbage\n@flaremr {broken\n@flaremr []\n\x80" * 50)
        sys.stdout.buffer.write(b'@flaremr {"event": "progress", "stage": 3, "done": "x"}\n')
        sys.stdout.buffer.write(b"no end of line" * 200_000)
        sys.stdout.flush()
        reporter.result({"survived": True})
    elif word == "crash":
        os.abort()
    elif word == "silent":
        return 0
    elif word == "exit":
        return int(arguments[0])
    elif word == "fail":
        raise FlareMRError("It did not work.", code="weights.damaged", hint="Fetch it again.")
    elif word == "memory":
        raise OutOfMemoryError("Too big.", code="memory.exhausted")
    elif word == "touch":
        Path(arguments[0]).write_text("made", encoding="utf-8")
        reporter.result({})
    return 0


def main() -> int:
    """Run the stand-in as the engine's command line would run a verb."""
    words = [word for word in sys.argv[1:] if word != "--json-progress"]
    reporter = JsonLinesReporter(sys.stdout, CancelFile.from_environment())
    try:
        return behave(words[0], words[1:], reporter)
    except Cancelled as error:
        reporter.error(error)
        return error.exit_code
    except FlareMRError as error:
        reporter.error(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
