"""Transforms do to images, labels and points what their numbers say, on oblique grids too."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import InputError
from FlareMRCore.imaging.registration_transform import (
    DisplacementField,
    SpatialTransform,
    identity_transform,
    load_transform,
    map_points,
    reach,
    rotation_deg,
    save_transform,
    warp_labels,
    warp_volume,
)
from FlareMRCore.imaging.resampling import resample_to
from Testing.core.imaging.moved_phantom import motion

FIELD_MM = (2.0, -3.0, 5.0)


def with_field(geometry: Geometry, matrix: np.ndarray | None = None) -> SpatialTransform:
    """A constant displacement inside `geometry`, then `matrix`."""
    vectors = np.broadcast_to(np.float32(FIELD_MM), (*geometry.shape, 3)).copy()
    linear = np.eye(4) if matrix is None else matrix
    return SpatialTransform("syn", "made by hand", linear, DisplacementField(geometry, vectors))


def test_identity_changes_nothing(oblique_volume):
    same = warp_volume(identity_transform(), oblique_volume, oblique_volume.geometry)
    assert same.array == pytest.approx(oblique_volume.array, rel=1e-5)


def test_onto_another_grid_it_is_resampling(oblique_volume):
    target = Geometry((9, 9, 9), (4.0, 1.5, 1.5), (-40.0, 5.0, 405.0))
    warped = warp_volume(identity_transform(), oblique_volume, target, fill=-1.0)
    expected = resample_to(oblique_volume, target, fill=-1.0)
    assert np.mean(np.isclose(warped.array, expected.array, atol=1e-2)) > 0.98
    covered = reach(identity_transform(), oblique_volume.geometry, target)
    assert 0 < covered.sum() < covered.size
    assert (warped.array[~covered] == -1).all()


def test_the_map_goes_from_fixed_to_moving():
    geometry = Geometry((6, 6, 6), (2.0, 2.0, 2.0))
    array = np.zeros(geometry.shape, dtype=np.uint8)
    array[2, 3, 4] = 7
    labels = LabelMap(array, geometry, organ_table())
    # The fixed point that is 2 mm inferior, 4 mm left, and 2 mm anterior of it comes from there.
    transform = SpatialTransform("translation", "", motion((4.0, -2.0, 2.0)))
    warped = warp_labels(transform, labels, geometry)
    assert np.argwhere(warped.array == 7).tolist() == [[1, 4, 2]]
    assert warped.array.sum() == 7


def test_the_field_comes_before_the_matrix(oblique_geometry):
    matrix = motion((10.0, 0, 0), (0, 0, 90))
    transform = with_field(oblique_geometry, matrix)
    inside = oblique_geometry.index_to_world(np.array([[2.0, 3, 4]]))
    moved = inside + FIELD_MM
    expected = (matrix @ np.append(moved, 1))[:3]
    assert map_points(transform, inside)[0] == pytest.approx(expected, abs=1e-4)
    far = inside + 1000
    assert map_points(transform, far)[0] == pytest.approx((matrix @ np.append(far, 1))[:3])


def test_points_and_images_agree(oblique_volume):
    transform = with_field(oblique_volume.geometry)
    warped = warp_volume(transform, oblique_volume, oblique_volume.geometry, fill=np.nan)
    index = np.array([2, 3, 4])
    source = oblique_volume.geometry.world_to_index(
        map_points(transform, oblique_volume.geometry.index_to_world(index[None]))
    )[0]
    weights = np.array([63.0, 9.0, 1.0])  # the array is a ramp of its flat index
    assert warped.array[tuple(index)] == pytest.approx(source @ weights, rel=1e-3)


@pytest.mark.parametrize("angle", [0.0, 1.0, 30.0, 179.0])
def test_rotation_ignores_scale(angle):
    transform = SpatialTransform("affine", "", motion((1, 2, 3), (0, angle, 0), 1.3))
    assert rotation_deg(transform) == pytest.approx(angle, abs=1e-4)


def test_a_file_gives_back_the_transform(tmp_path, oblique_geometry):
    for name, transform in {
        "linear": SpatialTransform("rigid", "SimpleITK rigid", motion((1, 2, 3), (4, 5, 6))),
        "bent": with_field(oblique_geometry, motion((1, 2, 3))),
    }.items():
        path = tmp_path / f"{name}.npz"
        save_transform(path, transform)
        loaded = load_transform(path)
        assert (loaded.kind, loaded.method) == (transform.kind, transform.method)
        points = oblique_geometry.corners() * 0.9
        assert np.array_equal(map_points(loaded, points), map_points(transform, points)) or (
            map_points(loaded, points) == pytest.approx(map_points(transform, points), abs=1e-6)
        )
        content = path.read_bytes()
        save_transform(path, transform)
        assert path.read_bytes() == content


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_transform(tmp_path, content):
    path = tmp_path / "t.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.npz"):
        load_transform(path)


def test_a_foreign_archive_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(InputError, match="not a transform"):
        load_transform(path)


def test_warping_keeps_types(oblique_volume):
    labels = LabelMap(
        (oblique_volume.array > 100).astype(np.uint8), oblique_volume.geometry, organ_table()
    )
    warped = warp_labels(with_field(labels.geometry), labels, labels.geometry)
    assert warped.array.dtype == np.uint8
    assert set(np.unique(warped.array)) <= {0, 1}
    image = warp_volume(with_field(labels.geometry), oblique_volume, labels.geometry)
    assert isinstance(image, Volume)
    assert image.array.dtype == np.float32
