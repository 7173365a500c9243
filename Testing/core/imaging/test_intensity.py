import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.errors import InputError
from FlareMRCore.imaging.intensity import (
    LIMIT,
    IntensityStatistics,
    foreground_statistics,
    standardize,
)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Whole-number image: noisy air, a body of two tissues, constant padding."""
    rng = np.random.default_rng(0)
    array = rng.integers(1, 20, (24, 40, 50)).astype(np.float32)
    blob = ndimage.gaussian_filter(rng.standard_normal(array.shape), 4)
    body = (slice(3, 21), slice(6, 34), slice(6, 44))
    array[body] += np.rint(
        300 + 100 * (blob[body] > 0) + 30 * rng.standard_normal(blob[body].shape)
    )
    array[:, :, :3] = 0
    return array


def test_standardized_body_has_mean_0_and_std_1(image: np.ndarray) -> None:
    statistics = foreground_statistics(image)
    assert 20 < statistics.threshold < 250
    standard = standardize(image, statistics)[image > statistics.threshold]
    assert standard.dtype == np.float32
    assert standard.mean() == pytest.approx(0, abs=1e-3)
    assert standard.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 0.37, 1.0, 1234.5, 1e6])
@pytest.mark.parametrize("offset", [0.0, -50.0, 1000.0])
def test_scale_and_offset_change_nothing(image: np.ndarray, scale: float, offset: float) -> None:
    changed = (image.astype(np.float64) * scale + offset * scale).astype(np.float32)
    result = standardize(changed, foreground_statistics(changed))
    np.testing.assert_allclose(result, standardize(image, foreground_statistics(image)), atol=2e-4)


@pytest.mark.parametrize(("dtype", "offset"), [(np.uint16, 40000), (np.int32, -70000)])
def test_integer_images_give_the_same(image: np.ndarray, dtype: type, offset: int) -> None:
    changed = (image.astype(np.int64) + offset).astype(dtype)
    result = standardize(changed, foreground_statistics(changed))
    np.testing.assert_allclose(result, standardize(image, foreground_statistics(image)), atol=2e-3)


def test_padding_does_not_count(image: np.ndarray) -> None:
    padded = np.pad(image, 20, constant_values=0)
    before, after = foreground_statistics(image), foreground_statistics(padded)
    assert after.threshold == pytest.approx(before.threshold, rel=0.05)
    assert after.mean == pytest.approx(before.mean, rel=0.02)
    assert after.std == pytest.approx(before.std, rel=0.02)


def test_bright_spots_do_not_squeeze_the_rest(image: np.ndarray) -> None:
    spotted = image.copy()
    spotted[10, 10, 10:20] = 1e6
    before, after = foreground_statistics(image), foreground_statistics(spotted)
    assert after.std == pytest.approx(before.std, rel=0.05)
    assert standardize(spotted, after).max() <= LIMIT


def test_by_hand() -> None:
    statistics = IntensityStatistics(threshold=1, high=10, mean=6, std=2)
    array = np.array([[[-100.0, 2.0, 6.0, 9.0, 50.0]]])
    np.testing.assert_allclose(standardize(array, statistics), [[[-5, -2, 0, 1.5, 2]]])


def test_input_is_left_alone(image: np.ndarray) -> None:
    before = image.copy()
    image.setflags(write=False)
    standardize(image, foreground_statistics(image))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 4)),
        np.full((4, 4, 4), 7.0),
        np.eye(4)[None],
        np.zeros((0, 4, 4)),
        np.array([[[1.0, 2.0, np.nan]]]),
        np.array([[[1.0, 2.0, np.inf]]]),
    ],
    ids=["zero", "constant", "mask", "empty", "nan", "infinite"],
)
def test_images_without_contrast_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError) as error:
        foreground_statistics(array)
    assert error.value.code == "input.constant"


def test_a_bright_spot_that_the_sample_misses_is_still_no_body() -> None:
    array = np.zeros((128, 128, 128), dtype=np.float32)
    array[64, 64, 64] = 1
    with pytest.raises(InputError):
        foreground_statistics(array)
