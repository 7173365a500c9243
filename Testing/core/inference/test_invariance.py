"""The engine finds the same organs however an image is stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.imaging.orientation import reorient, reorient_labels
from FlareMRCore.imaging.resampling import resample_labels_to, resample_to
from FlareMRCore.inference.model import LoadedModel
from FlareMRCore.inference.segmentation import SegmentOptions, SegmentResult, segment
from FlareMRCore.progress import SilentReporter

ALL_ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*axes)
]
MeanDice = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


def run(volume: Volume, model: LoadedModel, **options: Any) -> SegmentResult:
    return segment(volume, model, SegmentOptions(**options), SilentReporter())


@pytest.mark.parametrize("codes", ALL_ORIENTATIONS)
def test_all_orientations_give_the_same_labels(
    scene: Any, band_model: LoadedModel, codes: str
) -> None:
    expected = run(scene.volume, band_model).label_map
    turned = reorient(scene.volume, codes)
    result = run(turned, band_model).label_map
    assert result.geometry == turned.geometry
    back = reorient_labels(result, "SAR")
    np.testing.assert_array_equal(back.array, expected.array)


@pytest.mark.parametrize("degrees", [0.05, 3.0, 25.0, 45.0])
def test_oblique_grids_give_the_same_world_labels(
    grid: Geometry,
    scene_on: Any,
    tilt: Any,
    band_model: LoadedModel,
    mean_dice: MeanDice,
    degrees: float,
) -> None:
    fine_grid = grid.resized((48, 72, 80))
    straight = scene_on(fine_grid)
    tilted = scene_on(tilt(fine_grid, degrees))
    first = run(straight.volume, band_model).label_map
    second = run(tilted.volume, band_model).label_map
    right = mean_dice(first.array, straight.truth)
    assert right > 0.93
    assert mean_dice(second.array, tilted.truth) > right - 0.015
    # The corners of the turned image lie outside of the straight one: compare where both see.
    seen = resample_to(
        Volume(np.ones(fine_grid.shape, np.float32), tilted.volume.geometry), fine_grid
    ).array
    moved = resample_labels_to(second, fine_grid).array
    assert mean_dice(moved * (seen > 0.99), first.array * (seen > 0.99)) > 0.9


def test_oblique_and_turned_at_once(
    grid: Geometry, scene_on: Any, tilt: Any, band_model: LoadedModel
) -> None:
    tilted = scene_on(tilt(grid, 20.0)).volume
    expected = run(tilted, band_model).label_map.array
    codes = tilted.geometry.axis_codes
    turned = reorient(tilted, "PIL")
    result = reorient_labels(run(turned, band_model).label_map, codes)
    assert (result.array == expected).mean() > 0.9999


@pytest.mark.parametrize("value", [0.0, -50.0, 1000.0])
def test_constant_padding_changes_nothing(
    scene: Any, band_model: LoadedModel, value: float
) -> None:
    amounts = ((7, 3), (0, 11), (20, 5))
    padded_array = np.pad(scene.volume.array, amounts, constant_values=value)
    geometry = scene.volume.geometry
    origin = geometry.index_to_world(np.array([-before for before, _ in amounts]))
    padded = Volume(
        padded_array,
        replace(geometry, shape=padded_array.shape, origin=tuple(float(x) for x in origin)),
    )
    expected = run(scene.volume, band_model).label_map.array
    result = run(padded, band_model).label_map.array
    inner = tuple(slice(a, n - b) for (a, b), n in zip(amounts, result.shape, strict=True))
    np.testing.assert_array_equal(result[inner], expected)
    assert result.sum() == expected.sum()


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (1e6, 0.0), (0.5, 700.0), (2.0, -64.0)])
def test_scale_and_offset_of_intensities_change_nothing(
    scene: Any, band_model: LoadedModel, scale: float, offset: float
) -> None:
    expected = run(scene.volume, band_model).label_map.array
    changed = Volume(
        scene.volume.array * np.float32(scale) + np.float32(offset), scene.volume.geometry
    )
    result = run(changed, band_model).label_map.array
    assert (result == expected).mean() > 0.9999


def test_input_stays_as_it_is_and_repeating_gives_the_same_bytes(
    scene: Any, band_model: LoadedModel
) -> None:
    before = scene.volume.array.tobytes()
    first = run(scene.volume, band_model, mode="accurate", confidence_map=True)
    second = run(scene.volume, band_model, mode="accurate", confidence_map=True)
    assert scene.volume.array.tobytes() == before
    assert first.label_map.array.tobytes() == second.label_map.array.tobytes()
    assert first.confidence is not None
    assert second.confidence is not None
    assert first.confidence.array.tobytes() == second.confidence.array.tobytes()
