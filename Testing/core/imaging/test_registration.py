"""Known motions are found again, by image, mask and label; what runs here is reported."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import DependencyError, InputError, UsageError
from FlareMRCore.imaging.registration import (
    METHODS,
    Kind,
    RegistrationOptions,
    Subject,
    align,
    registration_backends,
)
from FlareMRCore.imaging.registration_transform import (
    SpatialTransform,
    map_points,
    rotation_deg,
    warp_labels,
)
from Testing.core.imaging.moved_phantom import (
    SPACING_MM,
    bent,
    dice,
    grid,
    motion,
    moved,
    phantom,
)

SHIFT_MM = (14.0, -9.0, 11.0)
SITK = RegistrationOptions(backend="sitk")
LARGE = ("liver", "spleen", "right_kidney", "left_kidney", "stomach")


def errors_mm(transform: SpatialTransform, matrix: np.ndarray) -> np.ndarray:
    """Distance between where the transform and the truth take points of the organs."""
    _, labels = phantom("t1_pre")
    points = grid().index_to_world(np.argwhere(labels.array > 0)[::200].astype(float))
    true = (np.linalg.inv(matrix) @ np.c_[points, np.ones(len(points))].T).T[:, :3]
    return np.linalg.norm(map_points(transform, points) - true, axis=1)


@pytest.mark.parametrize(
    ("on", "sequence"),
    [("image", "t1_pre"), ("image", "t2_fs"), ("mask", "t2_fs"), ("label", "t2")],
)
def test_translation_within_a_voxel(on: Subject, sequence):
    matrix = motion(SHIFT_MM)
    fixed, moving = (pair[on == "label"] for pair in (phantom("t1_pre"), moved(sequence, matrix)))
    found = align(
        fixed, moving, kind="translation", options=RegistrationOptions(on=on, backend="sitk")
    )
    assert errors_mm(found.transform, matrix).max() < SPACING_MM
    assert found.similarity_after > found.similarity_before


@pytest.mark.parametrize(("kind", "scale"), [("rigid", 1.0), ("affine", 1.06)])
def test_turns_within_a_voxel_and_a_degree(kind: Kind, scale):
    matrix = motion((8, -5, 6), (4, -3, 6), scale)
    found = align(phantom("t1_pre")[0], moved("venous", matrix)[0], kind=kind, options=SITK)
    assert errors_mm(found.transform, matrix).max() < SPACING_MM
    rest = SpatialTransform("", "", np.linalg.inv(matrix @ found.transform.matrix))
    assert rotation_deg(rest) < 1.0
    assert np.linalg.det(found.transform.matrix) == pytest.approx(scale**-3, rel=0.06)
    assert found.transform.field is None


def test_bent_organs_come_back():
    fixed, labels = phantom("t1_pre")
    moving, moving_labels = bent("t1_pre")
    found = align(fixed, moving, kind="syn", options=SITK)
    warped = warp_labels(found.transform, moving_labels, fixed.geometry)
    before = np.mean([dice(labels, moving_labels, organ) for organ in LARGE])
    after = np.mean([dice(labels, warped, organ) for organ in LARGE])
    assert before < 0.75
    assert after >= 0.9
    assert "in place of SyN" in found.transform.method


def coarse(volume: Volume) -> RegistrationOptions:
    return RegistrationOptions(backend="sitk", max_voxels=volume.array.size // 12)


def test_the_same_input_gives_the_same_transform():
    fixed, moving = phantom("t1_pre")[0], moved("t2_fs", motion(SHIFT_MM))[0]
    first, second = (align(fixed, moving, kind="rigid", options=coarse(fixed)) for _ in range(2))
    assert np.array_equal(first.transform.matrix, second.transform.matrix)
    assert first.similarity_after == second.similarity_after


def test_deformation_is_reproducible_and_better_than_none():
    fixed, moving = phantom("t1_pre")[0], bent("t1_pre")[0]
    first, second = (align(fixed, moving, kind="syn", options=coarse(fixed)) for _ in range(2))
    assert first.transform.field is not None
    assert second.transform.field is not None
    assert np.array_equal(first.transform.field.vectors_mm, second.transform.field.vectors_mm)
    assert first.similarity_after > first.similarity_before


def test_the_report_names_what_stands_in_for_syn():
    reports = {report.backend: report for report in registration_backends()}
    assert reports["sitk"].available
    assert reports["sitk"].version
    assert "in place of SyN" in reports["sitk"].methods["syn"]
    assert sum(report.chosen for report in reports.values()) == 1
    assert reports["ants"].chosen == reports["ants"].available
    assert set(METHODS["ants"]) == set(METHODS["sitk"])


def test_ants_by_name_must_be_installed(monkeypatch):
    monkeypatch.setattr("FlareMRCore.imaging.registration.find_spec", lambda name: None)
    volume = phantom("t1_pre")[0]
    with pytest.raises(DependencyError, match="antspyx"):
        align(volume, volume, kind="rigid", options=RegistrationOptions(backend="ants"))


def test_ants_agrees_with_simpleitk():
    pytest.importorskip("ants", reason="needs the package antspyx")
    matrix = motion((8, -5, 6), (4, -3, 6))
    options = RegistrationOptions(backend="ants")
    found = align(phantom("t1_pre")[0], moved("venous", matrix)[0], kind="rigid", options=options)
    assert found.backend == "ants"
    assert errors_mm(found.transform, matrix).max() < SPACING_MM


@pytest.mark.parametrize(
    ("kind", "options"),
    [("warp", SITK), ("rigid", RegistrationOptions(on="label")), ("rigid", "wrong backend")],
)
def test_wrong_requests(kind, options):
    if isinstance(options, str):
        options = RegistrationOptions(backend="elastix")  # type: ignore[arg-type]
    volume = phantom("t1_pre")[0]
    with pytest.raises(UsageError):
        align(volume, volume, kind=kind, options=options)


def test_nothing_to_align():
    empty = Volume(np.zeros((8, 8, 8), np.float32), Geometry((8, 8, 8), (5.0, 5.0, 5.0)))
    with pytest.raises(InputError, match="constant"):
        align(phantom("t1_pre")[0], empty, kind="rigid", options=SITK)
