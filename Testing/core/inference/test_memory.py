"""Estimates, plans and the ladder."""

from typing import Any

import pytest
import torch
from torch import nn

from FlareMRCore.errors import Cancelled, OutOfMemoryError
from FlareMRCore.inference.memory import (
    DEFAULT_BYTES_PER_VOX,
    LIVE_LAYERS,
    Demand,
    Plan,
    fitting_plan,
    is_out_of_memory,
    network_bytes_per_vox,
    next_plan,
    run_with_ladder,
)
from FlareMRCore.progress import SilentReporter

GB = 1024.0**3
VIEWS = ("identity", "flip-K")
CARD = Plan("cuda:0", None, "cuda:0", VIEWS)


def demand(shape: tuple[int, int, int] = (160, 256, 256), **changes: Any) -> Demand:
    values: dict[str, Any] = {
        "multiple_of": (16, 16, 16), "classes": 14, "bytes_per_vox": 1000.0, "can_window": True,
    }  # fmt: skip
    return Demand(shape, **{**values, **changes})


def test_ladder_goes_down_in_the_stated_order() -> None:
    plan: Plan | None = CARD
    seen = []
    while plan is not None:
        seen.append(plan)
        plan = next_plan(plan, demand())
    windows = [p.window for p in seen if p.device != "cpu" and p.accumulate_on != "cpu"]
    assert windows[0] is None
    assert windows[1] == (128, 128, 128)
    volumes = [w[0] * w[1] * w[2] for w in windows if w]
    assert volumes == sorted(volumes, reverse=True)
    assert windows[-1] == (32, 32, 32)
    rest = [(p.accumulate_on, len(p.views), p.device) for p in seen[len(windows) :]]
    assert rest == [("cpu", 2, "cuda:0"), ("cpu", 1, "cuda:0"), ("cpu", 1, "cpu")]


def test_networks_of_one_shape_are_never_cut() -> None:
    assert next_plan(CARD, demand(can_window=False)) == Plan("cuda:0", None, "cpu", VIEWS)


def test_small_inputs_are_halved() -> None:
    small = next_plan(Plan("cpu", None, "cpu", VIEWS), demand((32, 96, 64)))
    assert small is not None
    assert small.window == (32, 48, 64)


def test_plan_fits_the_free_memory() -> None:
    roomy, steps = fitting_plan(CARD, demand(), 100 * GB)
    assert roomy == CARD
    assert not steps
    tight, steps = fitting_plan(CARD, demand(), 4 * GB)
    assert tight.window == (128, 128, 128)
    assert demand().peak_bytes(tight) < 0.8 * 4 * GB
    assert steps == ["planned windows of 128x128x128 voxels"]


def test_huge_images_are_planned_in_windows() -> None:
    # As nnU-Net issue 793: 26 classes, 204 x 512 x 512 voxels.
    huge = demand((208, 512, 512), classes=26)
    plan, _ = fitting_plan(Plan("cpu", None, "cpu", ("identity",)), huge, 16 * GB)
    assert plan.window is not None
    assert huge.peak_bytes(plan) < 0.8 * 16 * GB


def test_estimate_counts_the_largest_layer_on_a_small_input() -> None:
    network = nn.Sequential(nn.Conv3d(1, 24, 3, padding=1), nn.Conv3d(24, 2, 1))
    assert network_bytes_per_vox(network, (8, 8, 8), 1) == 24 * 4 * LIVE_LAYERS


def test_networks_that_cannot_be_measured_get_a_default() -> None:
    class Greedy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise MemoryError

    assert network_bytes_per_vox(Greedy(), (8, 8, 8), 1) == DEFAULT_BYTES_PER_VOX


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_memory_errors_are_recognized(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), Cancelled(), RuntimeError("shape mismatch"), ValueError("out of memory")],
)
def test_other_errors_are_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_ladder_reports_each_step_and_returns_the_first_result() -> None:
    reporter = SilentReporter()
    tried = []

    def run(plan: Plan) -> str:
        tried.append(plan)
        if plan.window is None or plan.window[2] > 64:
            raise RuntimeError("CUDA out of memory")
        return "done"

    result, plan, steps = run_with_ladder(run, CARD, demand(), reporter)
    assert result == "done"
    assert plan == tried[-1]
    assert len(steps) == len(tried) - 1 == len(reporter.messages)
    assert "windows of 128x128x128" in steps[0]


def test_ladder_ends_in_an_error_that_says_what_to_do() -> None:
    def run(_plan: Plan) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="Close other programs") as caught:
        run_with_ladder(run, CARD, demand(), SilentReporter())
    assert caught.value.code == "memory.exhausted"
