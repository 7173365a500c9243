"""Left and right on every MR image of a folder: does each right organ lie right of its partner?

laterality.py DATA [--weights ID|PATH] [--mode MODE]

Each image is segmented in three orders and directions of its axes. Exit code 1 if a pair is
exchanged anywhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.imaging.orientation import reorient
from FlareMRCore.inference.segmentation import SegmentOptions, load_model, segment
from FlareMRCore.progress import SilentReporter
from FlareMRCore.weights.store import WeightsStore

PAIRS = (("right_kidney", "left_kidney"), ("right_adrenal_gland", "left_adrenal_gland"))
IMAGES = ("mr_*/*_t2spir.nii.gz", "mr_*/*phase.nii.gz", "mr_*/*_gre.nii.gz", "mr_*/renal_*.nii.gz",
          "mr_*/*_example_mr.nii.gz")  # fmt: skip
ORIENTATIONS = ("RAS", "LPS", "PIR")


def main() -> int:
    """Print a line for each image and orientation; 1 if anything is exchanged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="flaremr")
    parser.add_argument("--mode", default="standard")
    arguments = parser.parse_args()
    entry, files = WeightsStore().resolve(arguments.weights)
    model = load_model(entry, files, device="cpu")
    options = SegmentOptions(mode=arguments.mode)
    exchanged = 0
    for path in sorted(path for pattern in IMAGES for path in arguments.data.glob(pattern)):
        for orientation, volume in _oriented(read_volume(path)):
            label_map = segment(volume, model, options, SilentReporter()).label_map
            cells = []
            for right, left in PAIRS:
                distance_mm = _distance_mm(label_map, right, left)
                exchanged += int(distance_mm < 0)
                cells.append(f"{right} - {left} {distance_mm:.0f} mm")
            print(f"{path.name} {orientation}: {', '.join(cells)}")
    print(f"exchanged: {exchanged}")
    return int(exchanged > 0)


def _oriented(volume: Volume) -> Iterator[tuple[str, Volume]]:
    for orientation in ORIENTATIONS:
        yield orientation, reorient(volume, orientation)


def _distance_mm(label_map: LabelMap, right: str, left: str) -> float:
    """How far the first organ lies right of the second; NaN if one of them is missing."""
    places = []
    for organ in (right, left):
        voxels = np.argwhere(label_map.array == organ_table().by_id(organ).value)
        if not len(voxels):
            return float("nan")
        places.append(label_map.geometry.index_to_world(voxels.mean(0))[0])
    return float(places[0] - places[1])


if __name__ == "__main__":
    sys.exit(main())
