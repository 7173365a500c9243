"""How much memory this process may still take, how much it holds, and how much it took at most."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

MAC_SHARE = 0.5
"""macOS keeps little memory free and frees more on demand; half of all is a safe guess."""

_UNLIMITED = 1 << 60


def available_memory_bytes() -> int:
    """Main memory that can be had right now, within the limits of the system and the container."""
    if sys.platform == "win32":
        return _windows_available()
    if sys.platform == "darwin":
        return int(_mac_total() * MAC_SHARE)
    limits = (
        _container_available(Path("/sys/fs/cgroup/memory.max"), "memory.current"),
        _container_available(
            Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), "memory.usage_in_bytes"
        ),
    )
    return min(_linux_available(Path("/proc/meminfo")), *limits)


def peak_memory_bytes() -> int:
    """Largest main memory this process has held since it started; 0 if the system does not tell."""
    if sys.platform == "win32":
        return int(_windows_memory().peak_working_set)
    own = _linux_status(Path("/proc/self/status"), "VmHWM")
    if own:
        return own
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def held_memory_bytes() -> int:
    """Main memory this process holds right now; where the system does not tell, the peak."""
    if sys.platform == "win32":
        return int(_windows_memory().working_set)
    return _linux_status(Path("/proc/self/status"), "VmRSS") or peak_memory_bytes()


def _linux_status(path: Path, key: str) -> int:
    """A line in kB of a /proc/PID/status file, in bytes; 0 if there is none.

    What getrusage tells includes the program that started this one: Slicer, for example.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(found[0]) * 1024 if found else 0


def _linux_available(path: Path) -> int:
    """MemAvailable of a /proc/meminfo file; very much if there is none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return _UNLIMITED
    values = {line.split(":")[0]: line.split()[1] for line in lines if ":" in line}
    return int(values["MemAvailable"]) * 1024 if "MemAvailable" in values else _UNLIMITED


def _container_available(limit_file: Path, usage_name: str) -> int:
    """What a control group leaves; very much if it sets no limit.

    Pages of files that can be dropped count as used there, so they are given back.
    """
    try:
        limit = limit_file.read_text(encoding="ascii").strip()
        if not limit.isdigit() or int(limit) >= _UNLIMITED:
            return _UNLIMITED
        used = int((limit_file.parent / usage_name).read_text(encoding="ascii"))
        statistics = (limit_file.parent / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return _UNLIMITED
    fields = dict(line.split() for line in statistics.splitlines() if len(line.split()) == 2)
    reclaimable = int(fields.get("inactive_file", 0))
    return max(0, int(limit) - max(0, used - reclaimable))


def _mac_total() -> int:
    value = ctypes.c_uint64(0)
    size = ctypes.c_size_t(ctypes.sizeof(value))
    library = ctypes.CDLL(None)
    library.sysctlbyname(b"hw.memsize", ctypes.byref(value), ctypes.byref(size), None, 0)
    return int(value.value)


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows interface."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total_physical", ctypes.c_uint64),
        ("available_physical", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended", ctypes.c_uint64),
    )


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows interface."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("quota", ctypes.c_size_t * 4),
        ("page_file", ctypes.c_size_t),
        ("peak_page_file", ctypes.c_size_t),
    )


def _windows_available() -> int:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel = ctypes.CDLL("kernel32")
    kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.available_physical)


def _windows_memory() -> _ProcessMemory:
    memory = _ProcessMemory(length=ctypes.sizeof(_ProcessMemory))
    kernel = ctypes.CDLL("kernel32")
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(memory), memory.length)
    return memory
