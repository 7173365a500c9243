"""Choice of a device."""

import pytest

from FlareMRCore.errors import UsageError
from FlareMRCore.inference.device import Device, choose_device, list_devices, pick_device

GB = 1024**3
CPU = Device("cpu", "processor", 8 * GB)
SMALL = Device("cuda:0", "small card", 1 * GB)
LARGE = Device("cuda:1", "large card", 20 * GB)
MPS = Device("mps", "Apple", 16 * GB)


def test_the_processor_is_always_listed_with_its_memory() -> None:
    last = list_devices()[-1]
    assert last.name == "cpu"
    assert last.free_bytes > 1024**2


@pytest.mark.parametrize(
    ("devices", "expected", "reason"),
    [
        ((CPU,), "cpu", "no CUDA device"),
        ((SMALL, LARGE, CPU), "cuda:1", "large card with 20.0 GB"),
        ((SMALL, CPU), "cpu", "cuda:0 has only 1.0 GB"),
        ((MPS, CPU), "cpu", "no CUDA device"),
    ],
)
def test_automatic_choice(devices: tuple[Device, ...], expected: str, reason: str) -> None:
    choice = choose_device("auto", devices)
    assert choice.name == expected
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("wanted", "expected"), [("CPU", "cpu"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")]
)
def test_asked_for(wanted: str, expected: str) -> None:
    assert choose_device(wanted, (SMALL, LARGE, CPU)).name == expected


@pytest.mark.parametrize("wanted", ["cuda", "mps", "cuda:7", "tpu"])
def test_missing_devices_are_usage_errors_that_list_what_there_is(wanted: str) -> None:
    with pytest.raises(UsageError, match=r"auto, cpu") as caught:
        choose_device(wanted, (CPU,))
    assert caught.value.code == "usage.device"


def test_pick_device_takes_the_processor() -> None:
    assert pick_device("cpu").name == "cpu"
