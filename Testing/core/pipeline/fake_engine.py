"""An engine that thresholds, for tests of everything around the real one.

Run as a program it is the command line with this engine; ``SLOW_S`` makes each step that long.
"""

from __future__ import annotations

import os
import time
from unittest import mock

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import InputError
from FlareMRCore.inference.report import OrganResult, SegmentationReport, StageReport
from FlareMRCore.inference.segmentation import SegmentResult
from FlareMRCore.pipeline.engine import Engine, EngineOptions
from FlareMRCore.progress import Reporter

STEPS = 20
LIVER, SPLEEN, BAD = 100.0, 200.0, 999.0
"""Intensities that become liver and spleen; the engine refuses images that contain the last."""

STAGE = StageReport(
    "coarse",
    "fake",
    (8, 8, 8),
    (6.0, 6.0, 6.0),
    ("identity",),
    None,
    "cpu",
    "float32",
    "",
    1,
    2,
)


def block_volume(*, bad: bool = False, shape: tuple[int, int, int] = (6, 10, 12)) -> Volume:
    """A block of liver on the patient's right and one of spleen on the left, oddly spaced."""
    array = np.zeros(shape, dtype=np.float32)
    array[1:5, 2:8, 7:11] = LIVER
    array[1:3, 2:6, 1:4] = SPLEEN
    if bad:
        array[0, 0, 0] = BAD
    return Volume(array, Geometry(shape, (7.0, 2.0, 1.5), (-20.0, 5.0, 11.0)))


def segment(volume: Volume, reporter: Reporter) -> SegmentResult:
    """Liver and spleen by their intensity; the other organs are missing."""
    for step in range(STEPS):
        reporter.advance("coarse", step, STEPS)
        time.sleep(float(os.environ.get("SLOW_S", "0")))
    if (volume.array == BAD).any():
        raise InputError("The engine refuses this image.", code="input.refused", hint="Sorry.")
    labels = np.where(volume.array == LIVER, 1, np.where(volume.array == SPLEEN, 3, 0))
    label_map = LabelMap(labels.astype(np.uint8), volume.geometry, organ_table())
    return SegmentResult(label_map, fake_report(label_map))


def fake_report(label_map: LabelMap) -> SegmentationReport:
    """A report with made-up numbers and true volumes."""
    voxel_ml = label_map.geometry.voxel_volume_mm3 / 1000
    organs = []
    for label in organ_table():
        count = int((label_map.array == label.value).sum())
        flags = () if count else ("missing",)
        sure = 0.97 if count else None
        organs.append(
            OrganResult(
                label.id, label.name, label.value, count * voxel_ml, None, sure, None, flags
            )
        )
    return SegmentationReport(
        weights_id="fake",
        weights_version="1",
        weights_sha256={"fake.pt": "0" * 64},
        mode="standard",
        device="cpu",
        device_reason="asked for",
        threads=1,
        seconds={"coarse": 0.5},
        peak_memory_mb=100.0,
        peak_device_memory_mb=0.0,
        roi_low_mm=(0.0, 0.0, 0.0),
        roi_high_mm=(1.0, 1.0, 1.0),
        roi_is_whole=True,
        roi_note="The whole image.",
        stages=(STAGE,),
        warnings=("Warning with <b>markup</b>.",),
        organs=tuple(organs),
    )


def open_fake_engine(options: EngineOptions, reporter: Reporter) -> Engine:
    """Stands in for `open_engine`."""
    reporter.advance("load", 1, 1)
    return Engine("fake", {"fake.pt": "0" * 64}, segment)


if __name__ == "__main__":
    from FlareMRCore.cli.interrupts import leave
    from FlareMRCore.cli.main import main

    with (
        mock.patch("FlareMRCore.pipeline.segment_case.open_engine", open_fake_engine),
        mock.patch("FlareMRCore.pipeline.batch.open_engine", open_fake_engine),
    ):
        leave(main())
