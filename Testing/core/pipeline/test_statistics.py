"""Numbers of organs against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.pipeline import statistics
from FlareMRCore.pipeline.statistics import OrganStatistics, intensity_moments, statistics_csv


def test_moments_equal_numpy_also_in_slabs_and_with_an_offset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "SLAB_VOX", 100)
    rng = np.random.default_rng(0)
    image = (rng.normal(size=(9, 8, 7)) + 30_000).astype(np.float32)
    labels = rng.integers(0, 4, image.shape, dtype=np.uint8)
    counts, means, deviations = intensity_moments(image, labels)
    for value in range(4):
        inside = image[labels == value].astype(np.float64)
        assert counts[value] == inside.size
        assert means[value] == pytest.approx(inside.mean(), rel=1e-12)
        assert deviations[value] == pytest.approx(inside.std(), rel=1e-6)
    assert counts[4:].sum() == 0


def test_table_leaves_unknown_cells_empty_and_quotes() -> None:
    organ = OrganStatistics(1, "liver", "liver", 0.0, None, None, None, None, ("a", "b"))
    assert statistics_csv({'x,"y': [organ]}).splitlines() == [
        "case,value,id,name,volume_ml,mean_intensity,sd_intensity,confidence,agreement,flags",
        '"x,""y",1,liver,liver,0.0,,,,,a;b',
    ]
