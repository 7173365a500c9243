"""A stand-in for the engine: paints one box as liver, so that panels can be tested without torch.

Verbs that need no networks go to the real command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from FlareMRCore.cli.main import main
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import FlareMRError, VolumeFormatError
from FlareMRCore.events import CancelFile, JsonLinesReporter


def segment(words: list[str]) -> int:
    """Paint a box into the middle of the image."""
    reporter = JsonLinesReporter(sys.stdout, CancelFile.from_environment())
    output = Path(words[words.index("-o") + 1])
    try:
        if "no-such-weights" in words:
            raise FlareMRError("No 'no-such-weights'.", code="weights.not-installed")
        volume = read_volume(Path(words[0]))
    except (FlareMRError, VolumeFormatError) as error:
        reporter.error(error)
        return 4
    array = np.zeros(volume.array.shape, np.uint8)
    array[tuple(slice(n // 4, n // 2) for n in array.shape)] = 1
    for done in range(5):
        reporter.advance("fine", done, 5)
    write_label_map(output, LabelMap(array, volume.geometry, organ_table()))
    flags = {"liver": ("touches-border",)}
    organs = [
        {
            "id": o.id,
            "name": o.name,
            "value": o.value,
            "volume_ml": 1.5,
            "flags": flags.get(o.id, ()),
        }
        for o in organ_table()
    ]
    report = {"weights_id": "stand-in", "mode": "fast", "device": "cpu", "seconds": {"fine": 1.0}}
    case = {"organs": organs, "report": report, "warnings": ["stand-in"], "shape": array.shape}
    reporter.result({"case": case})
    return 0


if __name__ == "__main__":
    sys.exit(segment(sys.argv[2:]) if sys.argv[1] == "segment" else main())
