import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.data.geometry import Box, Geometry, Shape
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.orientation import reorient
from FlareMRCore.imaging.resampling import (
    axis_aligned_geometry,
    resample_labels_to,
    resample_to,
    resample_to_spacing,
    resampled_geometry,
    resize,
    resize_labels,
)

SHAPES: list[Shape] = [(7, 9, 11), (14, 18, 22), (5, 13, 4), (1, 1, 1), (20, 3, 11), (7, 9, 30)]


def noise(shape: Shape = (7, 9, 11)) -> np.ndarray:
    return np.random.default_rng(5).random(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_resize_equals_torch(shape: Shape) -> None:
    torch = pytest.importorskip("torch")
    array = noise()
    tensor = torch.from_numpy(array.astype(np.float64))[None, None]
    expected = torch.nn.functional.interpolate(tensor, size=shape, mode="trilinear")
    result = resize(array, shape)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected.numpy()[0, 0], atol=1e-6)


def test_resize_equals_scipy() -> None:
    array = noise()
    expected = ndimage.zoom(array, (2, 3, 2), order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(resize(array, (14, 27, 22)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_equal_torch_nearest_exact(shape: Shape) -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(3).integers(0, 14, (7, 9, 11)).astype(np.uint8)
    tensor = torch.from_numpy(array)[None, None]
    expected = torch.nn.functional.interpolate(tensor, size=shape, mode="nearest-exact")
    np.testing.assert_array_equal(resize_labels(array, shape), expected.numpy()[0, 0])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64, np.bool_])
def test_resize_takes_any_type(dtype: type) -> None:
    array = (noise() * 60000).astype(dtype)
    expected = resize(array.astype(np.float32), (4, 5, 6))
    np.testing.assert_array_equal(resize(array, (4, 5, 6)), expected)


def test_averaging_keeps_the_mean_and_sees_thin_structures() -> None:
    array = np.zeros((12, 12, 12), dtype=np.float32)
    array[:, :, 4] = 1  # between the sample points 1.0, 4.0 +- 0.5 of a linear threefold reduction
    array[:, 5, :] = 1
    small = resize(array, (3, 3, 3), antialias=True)
    assert small.mean() == pytest.approx(array.mean(), abs=1e-6)
    blocks = array.reshape(3, 4, 3, 4, 3, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(small, blocks, atol=1e-6)
    uneven = resize(array, (5, 5, 5), antialias=True)
    assert uneven.mean() == pytest.approx(array.mean(), abs=1e-6)
    # Up to twofold nothing is skipped, and nothing is averaged.
    np.testing.assert_array_equal(
        resize(array, (6, 7, 12), antialias=True), resize(array, (6, 7, 12))
    )


def test_resampling_to_the_own_grid_changes_nothing(oblique_volume: Volume) -> None:
    same = resample_to(oblique_volume, oblique_volume.geometry)
    np.testing.assert_allclose(same.array, oblique_volume.array, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_any_grid_and_resize_agree_on_one_convention(shape: Shape) -> None:
    geometry = Geometry((7, 9, 11), (5.0, 1.5, 1.25), (3.0, -20.0, 55.0))
    volume = Volume(noise(), geometry)
    result = resample_to(volume, geometry.resized(shape), fill=-99.0)
    np.testing.assert_allclose(result.array, resize(volume.array, shape), atol=1e-5)


def test_a_linear_field_stays_linear_between_unlike_oblique_grids(
    oblique_geometry: Geometry,
) -> None:
    source = axis_aligned_geometry(oblique_geometry, (2.0, 2.0, 2.0))
    k, j, i = (n + 3 for n in source.shape)
    source = source.cropped(Box((-3, -3, -3), (k, j, i)))
    values = field(source)
    target = resampled_geometry(oblique_geometry, (3.0, 2.0, 1.0))
    result = resample_to(Volume(values, source), target)
    np.testing.assert_allclose(result.array, field(target), atol=1e-2)


def field(geometry: Geometry) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return (geometry.index_to_world(index) @ (0.3, -0.7, 0.11) + 5).astype(np.float32)


def test_outside_is_filled_from_the_outer_edge_on() -> None:
    geometry = Geometry((1, 1, 2), (1.0, 1.0, 1.0))
    volume = Volume(np.array([[[10.0, 20.0]]], dtype=np.float32), geometry)
    fine = Geometry((1, 1, 8), (1.0, 1.0, 0.4), (-0.89, 0.0, 0.0))
    expected = [-1, 10, 10, 13.1, 17.1, 20, -1, -1]
    np.testing.assert_allclose(resample_to(volume, fine, fill=-1).array[0, 0], expected, atol=1e-4)
    labels = LabelMap(np.array([[[1, 2]]], dtype=np.uint8), geometry, organ_table())
    nearest = resample_labels_to(labels, fine, fill=9).array[0, 0]
    np.testing.assert_array_equal(nearest, [9, 1, 1, 1, 2, 2, 9, 9])


def test_resampling_through_a_turned_grid_is_exact(oblique_volume: Volume) -> None:
    turned = reorient(oblique_volume, "LIP")
    back = resample_to(turned, oblique_volume.geometry)
    np.testing.assert_allclose(back.array, oblique_volume.array, atol=1e-3)


def test_new_spacing_covers_the_same_space(oblique_volume: Volume) -> None:
    geometry = resampled_geometry(oblique_volume.geometry, (3.0, 3.0, 3.0))
    assert geometry.shape == (13, 4, 4)  # 38.5, 10.5 and 10.8 mm
    np.testing.assert_allclose(geometry.corners(), oblique_volume.geometry.corners(), atol=1e-9)
    assert resample_to_spacing(oblique_volume, (3.0, 3.0, 3.0)).array.shape == (13, 4, 4)
    assert resampled_geometry(oblique_volume.geometry, (999.0,) * 3).shape == (1, 1, 1)


def test_axis_aligned_grid_holds_the_oblique_one(oblique_geometry: Geometry) -> None:
    aligned = axis_aligned_geometry(oblique_geometry, (2.0, 1.0, 1.5))
    assert (aligned.axis_codes, aligned.obliquity_deg) == ("SAR", 0.0)
    assert aligned.spacing_mm == (2.0, 1.0, 1.5)
    index = aligned.world_to_index(oblique_geometry.corners())
    assert (index >= -0.5 - 1e-6).all()
    assert (index <= np.array(aligned.shape) - 0.5 + 1e-6).all()
    # and is not a voxel too long
    assert (index.max(axis=0) - index.min(axis=0) > np.array(aligned.shape) - 1).all()


def test_impossible_grids_are_refused(oblique_volume: Volume) -> None:
    with pytest.raises(UsageError, match="shape"):
        resize(oblique_volume.array, (0, 3, 3))
    with pytest.raises(UsageError, match="shape"):
        resize_labels(np.zeros((2, 2, 2), dtype=np.uint8), (3, -1, 3))
    with pytest.raises(UsageError, match="spacing"):
        resample_to_spacing(oblique_volume, (1.0, 0.0, 1.0))
    with pytest.raises(UsageError, match="spacing"):
        axis_aligned_geometry(oblique_volume.geometry, (1.0, float("nan"), 1.0))
