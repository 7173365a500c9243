"""The whole engine on the made-up abdomen."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import (
    Cancelled,
    InputError,
    OutOfMemoryError,
    UsageError,
    WeightsError,
)
from FlareMRCore.imaging.orientation import reorient, reorient_labels
from FlareMRCore.imaging.resampling import resample_labels_to, resample_to
from FlareMRCore.inference.model import COARSE, FINE, LoadedModel
from FlareMRCore.inference.segmentation import SegmentOptions, SegmentResult, segment
from FlareMRCore.progress import SilentReporter

MeanDice = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
ALL_ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*axes)
]


def run(volume: Volume, model: LoadedModel, **options: Any) -> SegmentResult:
    return segment(volume, model, SegmentOptions(**options), SilentReporter())


@pytest.mark.parametrize("mode", ["fast", "standard", "accurate"])
def test_organs_are_where_they_were_drawn(
    scene: Any, band_model: LoadedModel, mean_dice: MeanDice, mode: str
) -> None:
    result = run(scene.volume, band_model, mode=mode)
    assert mean_dice(result.label_map.array, scene.truth) > 0.9
    assert result.label_map.geometry == scene.volume.geometry


def test_modes_run_the_networks_they_name(scene: Any, band_model: LoadedModel) -> None:
    standard = run(scene.volume, band_model)
    accurate = run(scene.volume, band_model, mode="accurate")
    assert [s.stage for s in standard.report.stages] == [COARSE, FINE]
    assert standard.report.stages[1].views == ("identity",)
    assert accurate.report.stages[1].views == ("identity", "flip-KJI", "flip-I", "zoom-0.9")
    assert all(organ.agreement is None for organ in standard.report.organs)
    assert accurate.report.organs[0].agreement is not None
    assert accurate.report.organs[0].agreement > 0.9


def test_fast_uses_a_coarse_network_that_knows_the_organs(
    scene: Any, bands: Any, make_spec: Any, make_model: Any, mean_dice: MeanDice
) -> None:
    model = make_model({COARSE: (bands(14), make_spec()), FINE: (bands(14), make_spec())})
    result = run(scene.volume, model, mode="fast")
    assert [s.stage for s in result.report.stages] == [COARSE]
    assert result.report.roi_is_whole
    assert mean_dice(result.label_map.array, scene.truth) > 0.93


def test_views_are_capped(scene: Any, band_model: LoadedModel) -> None:
    result = run(scene.volume, band_model, mode="accurate", tta=2)
    assert result.report.stages[1].views == ("identity", "flip-KJI")
    assert result.report.stages[0].views == ("identity",)


def test_region_is_smaller_than_the_image_and_changes_no_label(
    scene: Any, band_model: LoadedModel, bands: Any, make_spec: Any, make_model: Any
) -> None:
    with_region = run(scene.volume, band_model)
    assert not with_region.report.roi_is_whole
    low, high = with_region.report.roi_low_mm, with_region.report.roi_high_mm
    # The organs reach from -65 to 75 mm and from -55 to 54 mm; 12 mm margin, 8 mm coarse voxels.
    assert -90 < low[0] < -70
    assert 80 < high[0] < 100
    assert -80 < low[1] < -60
    assert 60 < high[1] < 80
    whole = run(scene.volume, make_model({FINE: (bands(14), make_spec())}))
    assert whole.report.roi_is_whole
    same = with_region.label_map.array == whole.label_map.array
    assert same.mean() > 0.995


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


def _tilted(grid: Geometry, degrees: float) -> Geometry:
    """`grid` turned about an axis that is none of its own, still around the abdomen."""
    axis = np.array([0.48, 0.6, 0.64])
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    turn = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn @ grid.affine[:3, :3]
    center = (np.array(grid.shape) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ center
    return Geometry.from_affine(affine, grid.shape)


@pytest.mark.parametrize("degrees", [0.05, 3.0, 25.0, 45.0])
def test_oblique_grids_give_the_same_world_labels(
    grid: Geometry, scene_on: Any, band_model: LoadedModel, mean_dice: MeanDice, degrees: float
) -> None:
    fine_grid = grid.resized((48, 72, 80))
    straight = scene_on(fine_grid)
    tilted = scene_on(_tilted(fine_grid, degrees))
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


def test_oblique_and_turned_at_once(grid: Geometry, scene_on: Any, band_model: LoadedModel) -> None:
    tilted = scene_on(_tilted(grid, 20.0)).volume
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


def test_unwanted_organs_compete_and_are_dropped(scene: Any, band_model: LoadedModel) -> None:
    everything = run(scene.volume, band_model).label_map.array
    result = run(scene.volume, band_model, organs=("stomach", "liver"))
    np.testing.assert_array_equal(
        result.label_map.array, np.where(np.isin(everything, (1, 11)), everything, 0)
    )
    assert [organ.id for organ in result.report.organs] == ["liver", "stomach"]
    assert result.label_map.labels.values == (1, 11)


def test_report_is_json_with_volumes_times_and_flags(scene: Any, band_model: LoadedModel) -> None:
    result = run(scene.volume, band_model)
    report = json.loads(json.dumps(result.report.with_seconds("load", 0.5).as_dict()))
    assert report["seconds"]["load"] == 0.5
    assert report["seconds"]["fine"] > 0
    assert report["peak_memory_mb"] > 10
    liver, pancreas = report["organs"][0], report["organs"][3]
    voxel_ml = scene.volume.geometry.voxel_volume_mm3 / 1000
    assert liver["volume_ml"] == pytest.approx(
        float((result.label_map.array == 1).sum()) * voxel_ml, abs=1e-3
    )
    inside = scene.volume.array[result.label_map.array == 1]
    assert liver["mean_intensity"] == pytest.approx(float(inside.mean(dtype=np.float64)))
    assert 0.5 < liver["confidence"] <= 1
    assert liver["flags"] == ["implausible-volume"]
    assert pancreas["flags"] == ["missing"]
    assert pancreas["mean_intensity"] is None
    assert not report["warnings"]


def test_confidence_map_is_sure_inside_and_unsure_at_edges(
    scene: Any, band_model: LoadedModel
) -> None:
    confidence = run(scene.volume, band_model, confidence_map=True).confidence
    assert confidence is not None
    assert confidence.geometry == scene.volume.geometry
    assert 0 < confidence.array.min() < 0.7
    assert confidence.array.max() <= 1 + 1e-6
    assert run(scene.volume, band_model).confidence is None


def test_oblique_confidence_map_covers_the_image(
    grid: Geometry, scene_on: Any, band_model: LoadedModel
) -> None:
    tilted = scene_on(_tilted(grid, 12.0)).volume
    confidence = run(tilted, band_model, confidence_map=True).confidence
    assert confidence is not None
    assert confidence.geometry == tilted.geometry
    assert 0 < confidence.array.min() < 0.7


class Silent(nn.Module):
    """Finds nothing."""

    def forward(self, x: Tensor) -> Tensor:
        zeros = torch.zeros_like(x)
        return torch.cat([zeros + 1, zeros], 1)


def test_empty_coarse_result_falls_back_to_the_whole_image(
    scene: Any, bands: Any, make_spec: Any, make_model: Any, mean_dice: MeanDice
) -> None:
    model = make_model(
        {COARSE: (Silent(), make_spec(organs=False)), FINE: (bands(14), make_spec())}
    )
    result = run(scene.volume, model)
    assert result.report.roi_is_whole
    assert any("found nothing" in warning for warning in result.report.warnings)
    assert mean_dice(result.label_map.array, scene.truth) > 0.93


def test_image_without_abdomen_is_reported(scene: Any, make_spec: Any, make_model: Any) -> None:
    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.ones_like(x), *[torch.zeros_like(x)] * 13], 1)

    result = run(scene.volume, make_model({FINE: (Nothing(), make_spec())}))
    assert not result.label_map.array.any()
    assert any("0 of 13 organs" in warning for warning in result.report.warnings)
    assert all(organ.flags == ("missing",) for organ in result.report.organs)


@pytest.mark.parametrize("shape", [(1, 60, 68), (36, 1, 68), (36, 60, 1), (2, 3, 5)])
def test_thin_images_are_segmented(
    grid: Geometry, scene_on: Any, band_model: LoadedModel, shape: tuple[int, int, int]
) -> None:
    thin = scene_on(grid.resized(shape))
    result = run(thin.volume, band_model)
    assert result.label_map.array.shape == shape


def test_thin_image_of_a_real_network_does_not_fail(
    grid: Geometry, scene_on: Any, make_spec: Any, make_model: Any
) -> None:
    from FlareMRCore.networks.builders import build_network

    torch.manual_seed(0)
    network = build_network("ye2023-teacher-organs")
    model = make_model({FINE: (network, make_spec(multiple_of=(16, 16, 16)))})
    result = run(scene_on(grid.resized((1, 16, 16))).volume, model)
    assert result.label_map.array.shape == (1, 16, 16)


def test_constant_image_is_an_input_error(grid: Geometry, band_model: LoadedModel) -> None:
    flat = Volume(np.full(grid.shape, 7.0, np.float32), grid)
    with pytest.raises(InputError) as caught:
        run(flat, band_model)
    assert caught.value.code == "input.constant"


def test_ct_is_refused_unless_allowed(scene: Any, band_model: LoadedModel) -> None:
    array = np.where(scene.volume.array < 50, -1000.0, scene.volume.array / 4)
    ct = Volume(array.astype(np.float32), scene.volume.geometry)
    with pytest.raises(InputError) as caught:
        run(ct, band_model)
    assert caught.value.code == "input.looks-like-ct"
    allowed = run(ct, band_model, allow_ct=True)
    assert any("looks like CT" in warning for warning in allowed.report.warnings)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mode": "best"}, "usage.mode"),
        ({"tta": 0}, "usage.number"),
        ({"threads": -1}, "usage.number"),
        ({"organs": ("heart",)}, "usage.organ"),
        ({"device": "cuda:99"}, "usage.device"),
    ],
)
def test_wrong_options_are_usage_errors(
    scene: Any, band_model: LoadedModel, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        run(scene.volume, band_model, **options)
    assert caught.value.code == code


def test_weights_without_organs_are_refused(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    with pytest.raises(WeightsError) as caught:
        run(scene.volume, make_model({COARSE: (bands(2), make_spec(organs=False))}))
    assert caught.value.code == "weights.stage"


def test_threads_are_set_back(scene: Any, band_model: LoadedModel) -> None:
    result = run(scene.volume, band_model, threads=2)
    assert result.report.threads == 2
    assert torch.get_num_threads() == 1


class Greedy(nn.Module):
    """Runs out of memory above a number of voxels, or always."""

    def __init__(self, inner: nn.Module, limit_vox: int, error: type[Exception]) -> None:
        super().__init__()
        self.inner, self.limit_vox, self.error = inner, limit_vox, error
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "meta":
            self.largest = max(self.largest, x[0, 0].numel())
            if x[0, 0].numel() > self.limit_vox:
                raise self.error("DefaultCPUAllocator: not enough memory: you tried to allocate")
        result: Tensor = self.inner(x)
        return result


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, torch.OutOfMemoryError])
def test_memory_ladder_ends_in_smaller_windows_with_the_same_labels(
    scene: Any, bands: Any, make_spec: Any, make_model: Any, error: type[Exception]
) -> None:
    expected = run(scene.volume, make_model({FINE: (bands(14, 0), make_spec())}))
    greedy = Greedy(bands(14, 0), 32 * 32 * 32, error)
    reporter = SilentReporter()
    model = make_model({FINE: (greedy, make_spec())})
    result = segment(scene.volume, model, SegmentOptions(), reporter)
    assert result.report.stages[0].window_shape is not None
    assert result.report.stages[0].steps
    assert any("out of memory" in warning for warning in result.report.warnings)
    assert any("Memory was not enough" in text for text in reporter.messages)
    assert greedy.largest > 32**3
    np.testing.assert_array_equal(result.label_map.array, expected.label_map.array)


def test_memory_ladder_ends_in_an_error(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    model = make_model({FINE: (Greedy(bands(14), 0, MemoryError), make_spec())})
    with pytest.raises(OutOfMemoryError) as caught:
        run(scene.volume, model)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, Cancelled, ValueError])
def test_other_errors_are_not_mistaken_for_memory(
    scene: Any, make_spec: Any, make_model: Any, error: type[BaseException]
) -> None:
    calls = []

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.device.type == "meta":
                raise NotImplementedError
            calls.append(1)
            raise error

    with pytest.raises(error):
        run(scene.volume, make_model({FINE: (Failing(), make_spec())}))
    assert len(calls) == 1


class Slow(nn.Module):
    """Many layers that each take a while."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Wait() for _ in range(100)])
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.inner(x)
        return result


class _Wait(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "meta":
            time.sleep(0.1)
        return x


def test_cancel_within_a_second_inside_one_forward_pass(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    asked = threading.Event()
    reporter = SilentReporter(is_cancelled=asked.is_set)
    model = make_model({FINE: (Slow(bands(14)), make_spec())})
    timer = threading.Timer(0.5, asked.set)
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        segment(scene.volume, model, SegmentOptions(), reporter)
    timer.join()
    assert time.monotonic() - start < 0.5 + 1.0


def test_sliding_windows_leave_no_seams(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    whole = run(scene.volume, make_model({FINE: (bands(14, 0), make_spec())}))
    spec = make_spec(window_shape=(16, 24, 24))
    windows = run(scene.volume, make_model({FINE: (bands(14, 0), spec)}))
    assert windows.report.stages[0].window_shape == (16, 24, 24)
    np.testing.assert_array_equal(windows.label_map.array, whole.label_map.array)


def test_one_shape_only_networks(
    scene: Any, bands: Any, make_spec: Any, make_model: Any, mean_dice: MeanDice
) -> None:
    spec = make_spec(spacing_mm=None, fixed_shape=(40, 48, 56), multiple_of=(1, 1, 1))
    result = run(scene.volume, make_model({FINE: (bands(14), spec)}))
    assert result.report.stages[0].input_shape == (40, 48, 56)
    assert mean_dice(result.label_map.array, scene.truth) > 0.93


def test_fixed_shape_and_zoom_contradict_each_other(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    spec = make_spec(fixed_shape=(40, 48, 56), views=("zoom-0.9",))
    with pytest.raises(WeightsError) as caught:
        run(scene.volume, make_model({FINE: (bands(14), spec)}), mode="accurate")
    assert caught.value.code == "weights.views"


@pytest.mark.parametrize("kind", ["channels", "nan", "shape"])
def test_networks_that_break_their_promise_are_refused(
    scene: Any, make_spec: Any, make_model: Any, kind: str
) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.cat([x] * (5 if kind == "channels" else 14), 1)
            if kind == "nan":
                y = y * float("nan")
            return y[..., ::2] if kind == "shape" else y

    with pytest.raises(WeightsError):
        run(scene.volume, make_model({FINE: (Broken(), make_spec())}))
