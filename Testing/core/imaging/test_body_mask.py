import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.phantom import phantom_geometry
from FlareMRCore.data.phantom_anatomy import make_anatomy
from FlareMRCore.data.phantom_render import RenderOptions, render
from FlareMRCore.data.phantom_tissues import tissue_code
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.body_mask import body_mask, otsu_threshold, strided_sample
from FlareMRCore.imaging.components import fill_holes
from FlareMRCore.imaging.orientation import orient_array, reorient


def brute_force_otsu(values: np.ndarray) -> float:
    """Best score over all thresholds, straight from the definition."""
    best = 0.0
    for threshold in np.unique(values)[:-1]:
        low, high = values[values <= threshold], values[values > threshold]
        best = max(best, len(low) * len(high) * (low.mean() - high.mean()) ** 2)
    return best


def test_no_threshold_separates_better() -> None:
    rng = np.random.default_rng(1)
    values = np.rint(np.concatenate([rng.normal(30, 12, 900), rng.normal(150, 25, 300)]))
    threshold = otsu_threshold(values)
    low, high = values[values <= threshold], values[values > threshold]
    score = len(low) * len(high) * (low.mean() - high.mean()) ** 2
    assert score >= 0.999 * brute_force_otsu(values)


def test_threshold_lies_in_the_middle_of_a_gap() -> None:
    assert otsu_threshold(np.array([0.0, 1.0, 9.0, 10.0])) == pytest.approx(5, abs=0.05)


def test_upper_percentile_leaves_the_brightest_out() -> None:
    values = np.array([0.0] * 50 + [100.0] * 30 + [2000.0] * 20)
    assert otsu_threshold(values) > 100
    assert 0 < otsu_threshold(values, 80) < 100


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(5), np.array([1.0, np.nan])])
def test_no_contrast_is_refused(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="no contrast"):
        otsu_threshold(values)


@pytest.fixture
def body() -> Volume:
    """Bright cylinder along S with a dark tunnel, and a bright speck beside it."""
    array = np.random.default_rng(0).integers(0, 10, (12, 30, 30)).astype(np.float32)
    array[:, 5:25, 4:22] += 200
    array[:, 12:16, 10:14] -= 195
    array[4:6, 2:4, 27:29] += 200
    return Volume(array, Geometry((12, 30, 30), (5.0, 1.5, 1.5)))


@pytest.mark.parametrize("codes", ["SAR", "RSA", "PIL"])
def test_body_is_filled_in_axial_slices_whatever_the_axis_order(body: Volume, codes: str) -> None:
    turned = reorient(body, codes)
    mask, _ = orient_array(body_mask(turned), turned.geometry, "SAR")
    expected = np.zeros(body.array.shape, dtype=bool)
    expected[:, 5:25, 4:22] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_bodies_of_phantoms_with_bias_are_found(seed: int) -> None:
    """In phase, which the detector of upside-down stacks looks at; fat is bright all around."""
    geometry = phantom_geometry((8.0, 4.0, 4.0), extent_mm=(240.0, 280.0, 400.0))
    anatomy = make_anatomy(seed, geometry)
    image = render(anatomy, "t1_in", seed=seed, options=RenderOptions(bias=0.3))
    inside = fill_holes(anatomy.tissues != tissue_code("air"), axis=0)
    overlaps = []
    for percentile in (100.0, 80.0):
        mask = body_mask(image, upper_percentile=percentile)
        overlaps.append(np.count_nonzero(mask & inside) / np.count_nonzero(mask | inside))
    assert overlaps[1] >= 0.95
    assert overlaps[1] > overlaps[0]


def test_sample_is_small_and_misses_no_slice() -> None:
    array = np.broadcast_to(np.arange(120)[:, None, None], (120, 100, 100))
    sample = strided_sample(array)
    assert 150_000 < sample.size <= 500_000
    assert len(np.unique(sample)) == 120
