"""How long a run takes and how much memory it needs, before it is started."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from FlareMRSegLib.Translation import tr as _

REFERENCE_VOXELS = 320 * 260 * 72
MB_PER_MILLION_VOXELS = 40.0
SECONDS_PER_MILLION_VOXELS = 0.3

# Seconds and MB for the reference volume until this computer has done it once. Processor: two
# threads, start of the process included (Testing/benchmarks/segment.md); gpu: guessed.
FIRST_GUESS = {
    ("fast", "cpu"): (6.4, 570.0),
    ("standard", "cpu"): (5.8, 640.0),
    ("accurate", "cpu"): (8.3, 730.0),
    ("fast", "gpu"): (8.0, 1500.0),
    ("standard", "gpu"): (9.0, 2000.0),
    ("accurate", "gpu"): (11.0, 2000.0),
}

Load = Callable[[], str]
Save = Callable[[str], None]


@dataclass(frozen=True)
class Expectation:
    """What a run will probably take; `isMeasured` if this computer did the like before."""

    seconds: float
    memoryMb: float
    isMeasured: bool

    @property
    def text(self) -> str:
        """The same as a short sentence."""
        form = (
            _("about {time}, {memory:.1f} GB (as last time on this computer)")
            if self.isMeasured
            else _("roughly {time}, {memory:.1f} GB (not yet measured on this computer)")
        )
        return form.format(time=_duration(self.seconds), memory=self.memoryMb / 1024)


class Expectations:
    """Remembers what runs took, by mode and kind of device.

    Args:
        load: gives the text that `save` was given last, e.g. out of the user's settings.
        save: keeps a text.
    """

    def __init__(self, load: Load = str, save: Save = lambda _text: None) -> None:
        self._save = save
        self._measured: dict[str, list[float]] = _parsed(load())

    def expect(self, mode: str, device: str, voxels: int = REFERENCE_VOXELS) -> Expectation:
        """What a run in `mode` on `device` of an image of so many voxels will take."""
        kind = _kind(device)
        seconds, memoryMb = FIRST_GUESS.get((mode, kind), FIRST_GUESS["standard", kind])
        measured = self._measured.get(f"{mode}/{kind}")
        reference = float(REFERENCE_VOXELS)
        if measured is not None:
            seconds, memoryMb, reference = measured
        more = (voxels - reference) / 1e6
        return Expectation(
            seconds=max(1.0, seconds + more * SECONDS_PER_MILLION_VOXELS),
            memoryMb=max(300.0, memoryMb + more * MB_PER_MILLION_VOXELS),
            isMeasured=measured is not None,
        )

    def learn(self, record: Mapping[str, Any], seconds: float) -> None:
        """Take over what a finished run took, start of the process included."""
        report = record.get("report", {})
        shape = record.get("shape", ())
        memoryMb = report.get("peak_memory_mb")
        if len(shape) != 3 or not isinstance(memoryMb, int | float):
            return
        key = f"{report.get('mode')}/{_kind(str(report.get('device')))}"
        self._measured[key] = [seconds, float(memoryMb), float(shape[0] * shape[1] * shape[2])]
        self._save(json.dumps(self._measured))


def _kind(device: str) -> str:
    return "gpu" if device.startswith(("cuda", "mps")) else "cpu"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return _("{count:.0f} s").format(count=seconds)
    return _("{count:.0f} min").format(count=seconds / 60)


def _parsed(text: str) -> dict[str, list[float]]:
    """Measurements in `text`; none if it is not what `Expectations` wrote."""
    try:
        content = json.loads(text) if text else {}
        return {str(k): [float(x) for x in v] for k, v in content.items() if len(v) == 3}
    except (ValueError, TypeError, AttributeError):
        return {}
