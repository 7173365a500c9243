"""Which processors there are, and which one a job uses."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from FlareMRCore.errors import UsageError
from FlareMRCore.inference.system_memory import available_memory_bytes

MIN_CUDA_FREE_BYTES = 2 * 1024**3
"""A graphics card with less free memory is busy or too small to be chosen automatically."""


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that torch can use.

    Attributes:
        name: ``"cpu"``, ``"cuda:0"`` or ``"mps"``; what `pick_device` takes.
        title: what people call it.
        free_bytes: memory that can be had right now.
    """

    name: str
    title: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device and the sentence that tells why it was chosen."""

    name: str
    reason: str


def list_devices() -> tuple[Device, ...]:
    """All devices of this computer, graphics cards first."""
    devices = [
        Device(f"cuda:{n}", torch.cuda.get_device_name(n), free_memory_bytes(f"cuda:{n}"))
        for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "Apple graphics processor", free_memory_bytes("mps")))
    title = f"processor ({torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} "
    return (*devices, Device("cpu", title + "threads)", free_memory_bytes("cpu")))


def free_memory_bytes(name: str) -> int:
    """Memory of the device `name` that can be had right now."""
    if name.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(name))[0])
    if name == "mps":
        # New in torch 2.5; the processor's memory is the card's.
        limit = getattr(torch.mps, "recommended_max_memory", available_memory_bytes)()
        return max(0, int(limit) - int(torch.mps.driver_allocated_memory()))
    return available_memory_bytes()


def pick_device(wanted: str = "auto") -> DeviceChoice:
    """The device called `wanted` (``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``).

    ``auto`` takes the graphics card with the most free memory, else the processor. It never takes
    ``mps``, where some 3-D operations are missing or slow.

    Raises:
        UsageError: no such device; the message lists those there are.
    """
    return choose_device(wanted, list_devices())


def choose_device(wanted: str, devices: tuple[Device, ...]) -> DeviceChoice:
    """As `pick_device`, out of the given devices."""
    name = wanted.strip().lower()
    if name == "auto":
        return _automatic(devices)
    if name == "cuda":
        name = next((d.name for d in devices if d.name.startswith("cuda")), "cuda")
    if name not in {device.name for device in devices}:
        known = ", ".join(device.name for device in devices)
        raise UsageError(
            f"There is no device '{wanted}' here. Known: auto, {known}.",
            code="usage.device",
            hint="Run 'devices' to see what torch finds.",
        )
    return DeviceChoice(name, "asked for")


def _automatic(devices: tuple[Device, ...]) -> DeviceChoice:
    cards = [device for device in devices if device.name.startswith("cuda")]
    best = max(cards, key=lambda device: device.free_bytes, default=None)
    if best is None:
        return DeviceChoice("cpu", "torch finds no CUDA device")
    free_gb = best.free_bytes / 1024**3
    if best.free_bytes < MIN_CUDA_FREE_BYTES:
        return DeviceChoice("cpu", f"{best.name} has only {free_gb:.1f} GB of free memory")
    return DeviceChoice(best.name, f"{best.title} with {free_gb:.1f} GB of free memory")
