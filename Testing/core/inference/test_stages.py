"""Networks that need too much memory, take long, or break their promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from FlareMRCore.data.volume import Volume
from FlareMRCore.errors import (
    Cancelled,
    OutOfMemoryError,
    WeightsError,
)
from FlareMRCore.inference.model import FINE, LoadedModel
from FlareMRCore.inference.segmentation import SegmentOptions, SegmentResult, segment
from FlareMRCore.progress import SilentReporter

MeanDice = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


def run(volume: Volume, model: LoadedModel, **options: Any) -> SegmentResult:
    return segment(volume, model, SegmentOptions(**options), SilentReporter())


class Greedy(nn.Module):
    """Runs out of memory above a number of voxels, or always."""

    def __init__(self, inner: nn.Module, limit_vox: int, error: type[Exception]) -> None:
        super().__init__()
        self.inner, self.limit_vox, self.error = inner, limit_vox, error
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
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
        if x.numel() > 1000:  # not while the memory is estimated
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


def test_one_shape_only_networks_with_a_spacing_get_windows_of_that_shape(
    scene: Any, bands: Any, make_spec: Any, make_model: Any
) -> None:
    seen = set()

    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = bands(14, 0)

        def forward(self, x: Tensor) -> Tensor:
            seen.add(tuple(x.shape[2:]))
            result: Tensor = self.inner(x)
            return result

    whole = run(scene.volume, make_model({FINE: (bands(14, 0), make_spec())}))
    spec = make_spec(fixed_shape=(16, 24, 24), multiple_of=(1, 1, 1))
    windows = run(scene.volume, make_model({FINE: (Strict(), spec)}))
    assert seen == {(16, 24, 24)}
    np.testing.assert_array_equal(windows.label_map.array, whole.label_map.array)


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
