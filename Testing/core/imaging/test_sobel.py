"""Sobel magnitude against ramps, scipy's filter and what scaling may not change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.sobel import edge_image, sobel_magnitude

SPACING = (3.0, 1.5, 0.5)


def ramp(slope_per_mm: tuple[float, float, float]) -> np.ndarray:
    grid = np.mgrid[0:6, 0:7, 0:8].astype(np.float32)
    steps = np.multiply(slope_per_mm, SPACING)
    return np.tensordot(steps, grid, axes=1)


@pytest.mark.parametrize("slope", [(2.0, 0, 0), (0, -1.0, 0), (0, 0, 4.0), (1.0, 2.0, -2.0)])
def test_a_ramp_has_its_slope_in_mm(slope):
    magnitude = sobel_magnitude(ramp(slope), SPACING)
    assert magnitude[1:-1, 1:-1, 1:-1] == pytest.approx(np.linalg.norm(slope), rel=1e-4)


def test_it_is_scipy_s_filter_up_to_the_factor():
    image = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    parts = [ndimage.sobel(image, axis=n, mode="nearest") / 32 / SPACING[n] for n in range(3)]
    expected = np.sqrt(sum(part**2 for part in parts))
    assert sobel_magnitude(image, SPACING) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def step_volume(low: float, high: float) -> Volume:
    array = np.full((8, 8, 8), low, dtype=np.float32)
    array[:, :, 4:] = high
    return Volume(array, Geometry((8, 8, 8), SPACING))


def test_edges_go_from_minus_one_to_one_and_ignore_polarity():
    rising, falling = (edge_image(step_volume(a, b), "MR") for a, b in ((0, 50), (900, 100)))
    assert rising.array.min() == -1
    assert rising.array.max() == 1
    assert (rising.array[:, :, 3:5] == 1).all()
    assert np.array_equal(rising.array, falling.array)
    assert rising.geometry == step_volume(0, 1).geometry


def test_ct_is_cut_to_the_soft_tissue_window():
    metal = edge_image(step_volume(240, 3000), "CT")
    assert (metal.array == -1).all()
    with pytest.raises(UsageError, match="CT or MR"):
        edge_image(step_volume(0, 1), "US")
