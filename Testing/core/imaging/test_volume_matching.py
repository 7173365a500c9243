"""Matching by body volume: the same patient first, then the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.volume_matching import Body, body_volume_mm3, closest_body


def test_body_volume_with_its_holes():
    array = np.zeros((10, 12, 12), dtype=np.float32)
    array[2:8, 2:10, 2:10] = 100.0 + np.arange(8)
    array[4, 5, 5] = 0.0
    volume = Volume(array, Geometry(array.shape, (2.0, 1.0, 1.5)))
    assert body_volume_mm3(volume) == pytest.approx(6 * 8 * 8 * 3.0)


def test_the_same_patient_comes_first():
    candidates = {
        "near": Body("b", 1000.0),
        "own": Body("a", 2000.0),
        "own-nearer": Body("a", 1500.0),
    }
    assert closest_body(Body("a", 1000.0), candidates) == "own-nearer"
    assert closest_body(Body("c", 1700.0), candidates) == "own-nearer"
    assert closest_body(Body("c", 0.0), candidates) == "near"
    assert closest_body(Body("c", 1250.0), candidates) == "near"
    with pytest.raises(UsageError, match="no labeled image"):
        closest_body(Body("a", 1.0), {})
