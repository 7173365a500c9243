"""The whole engine on the made-up abdomen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import (
    InputError,
    UsageError,
    WeightsError,
)
from FlareMRCore.inference.model import COARSE, FINE, LoadedModel
from FlareMRCore.inference.segmentation import SegmentOptions, SegmentResult, segment
from FlareMRCore.progress import SilentReporter

MeanDice = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


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
    grid: Geometry, scene_on: Any, tilt: Any, band_model: LoadedModel
) -> None:
    tilted = scene_on(tilt(grid, 12.0)).volume
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
