"""Facts about this computer that explain why something does not work, to paste in an issue."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.case_record import software_versions
from FlareMRCore.pipeline.output_paths import check_folder
from FlareMRCore.weights.store import WeightsStore

GB = 1024**3
LOW_MEMORY_BYTES = 2 * GB
LOW_DISK_BYTES = GB
DRIVER_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Facts by section, and what is wrong, a sentence each."""

    sections: Mapping[str, Mapping[str, str]]
    problems: tuple[str, ...]

    def as_text(self) -> str:
        """The block to paste."""
        lines = []
        for title, facts in self.sections.items():
            lines.append(f"[{title}]")
            lines += [f"{name}: {value}" for name, value in facts.items()]
        lines.append("[problems]")
        lines += [f"- {problem}" for problem in self.problems] or ["none found"]
        return "\n".join(lines)


def diagnose(store: WeightsStore | None = None) -> Diagnosis:
    """Look at versions, processors, memory, disks, permissions and weights; nothing is changed."""
    problems: list[str] = []
    sections = {
        "versions": {**software_versions(), "executable": sys.executable},
        "torch": _torch(problems),
        "registration": _registration(),
        "memory and disk": _space(problems),
        "weights": _weights(store or WeightsStore(), problems),
    }
    return Diagnosis(sections, tuple(problems))


def torch_problem(cuda: str | None, available: bool, driver: str) -> str:  # noqa: FBT001
    """What is wrong between torch and the graphics card; empty if nothing is.

    Args:
        cuda: CUDA version torch was built for; None for a build without CUDA.
        available: whether torch can use the card.
        driver: what the NVIDIA driver tells; empty without one.
    """
    if not driver or available:
        return ""
    if cuda is None:
        return (
            f"A graphics card was found ({driver}), but this torch was built without CUDA and "
            "uses the processor only. Install a CUDA build of torch to make it fast."
        )
    return (
        f"A graphics card was found ({driver}), but torch for CUDA {cuda} cannot use it. Update "
        "the NVIDIA driver, or install torch for an older CUDA."
    )


def nvidia_driver() -> str:
    """Name and driver of the first NVIDIA card; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, timeout=DRIVER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.partition("\n")[0].strip() if answer.returncode == 0 else ""


def _torch(problems: list[str]) -> dict[str, str]:
    driver = nvidia_driver()
    facts = {"graphics card": driver or "no NVIDIA card found"}
    try:
        # By name: this layer reaches torch only to tell whether it can be reached.
        torch: Any = import_module("torch")
    except Exception as failure:  # noqa: BLE001 - a broken installation may raise anything
        problems.append(
            f"torch cannot be imported ({type(failure).__name__}: {failure}). Install torch; in "
            "Slicer use the PyTorch extension."
        )
        return {**facts, "torch": "cannot be imported"}
    available = bool(torch.cuda.is_available())
    problem = torch_problem(torch.version.cuda, available, driver)
    if problem:
        problems.append(problem)
    from FlareMRCore.inference.device import list_devices

    facts["torch"] = f"{torch.__version__}, CUDA {torch.version.cuda or 'not built in'}"
    facts["CUDA usable"] = "yes" if available else "no"
    for device in list_devices():
        facts[device.name] = f"{device.title}, {device.free_bytes / GB:.1f} GB free"
    return facts


def _registration() -> dict[str, str]:
    """What recipes align images with; SimpleITK has no SyN."""
    from FlareMRCore.imaging.registration import registration_backends

    return {
        report.backend: f"{report.version or 'not installed'}, "
        f"{'used' if report.chosen else 'not used'}, SyN is {report.methods['syn']}"
        for report in registration_backends()
    }


def _space(problems: list[str]) -> dict[str, str]:
    # The module needs no torch.
    from FlareMRCore.inference.system_memory import available_memory_bytes

    memory = available_memory_bytes()
    if memory < LOW_MEMORY_BYTES:
        problems.append(f"Only {memory / GB:.1f} GB of memory are free; close other programs.")
    facts = {"processor": platform.processor() or platform.machine()}
    facts["free memory"] = f"{memory / GB:.1f} GB"
    for title, folder in (("temporary", Path(tempfile.gettempdir())), ("current", Path.cwd())):
        facts[f"{title} folder"] = _folder(folder, problems)
    return facts


def _weights(store: WeightsStore, problems: list[str]) -> dict[str, str]:
    facts = {"folder": _folder(_existing(store.folder), problems, shown=store.folder)}
    problems += store.broken_models()
    for entry in store.entries():
        state = store.state(entry.id)
        hashes = ", ".join(f"{file.name} {file.sha256[:16]}" for file in entry.files)
        facts[entry.id] = f"{entry.version}, {state}, {hashes}"
        if state == "damaged":
            problems += store.verify(entry.id)
    try:
        default = store.default_id()
    except FlareMRError as error:
        problems.append(str(error))
    else:
        if store.state(default) == "missing":
            problems.append(f"The default weights '{default}' are missing: run 'weights fetch'.")
    return facts


def _existing(folder: Path) -> Path:
    """The folder or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _folder(folder: Path, problems: list[str], *, shown: Path | None = None) -> str:
    free = shutil.disk_usage(folder).free
    text = f"{shown or folder}, {free / GB:.1f} GB free"
    if free < LOW_DISK_BYTES:
        problems.append(f"The disk of '{folder}' is nearly full ({free / GB:.2f} GB free).")
    try:
        check_folder(folder)
    except FlareMRError as error:
        problems.append(str(error))
        return f"{text}, not writable"
    return f"{text}, writable"
