"""What a process has taken so far; imports nothing that costs."""

from __future__ import annotations

from pathlib import Path


def peak_memory_mb() -> float:
    """Most main memory this program has held since it started, not counting who started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS counts bytes
