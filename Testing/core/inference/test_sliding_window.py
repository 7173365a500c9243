"""Windows: where they are, how they are weighted, and that they leave no seams."""

import numpy as np
import pytest
import torch
from torch import Tensor

from FlareMRCore.inference.sliding_window import (
    MANY_WINDOWS,
    gaussian_importance_map,
    predict_windows,
    window_boxes,
    window_starts,
)


@pytest.mark.parametrize(
    ("length", "window", "step", "expected"),
    [
        (10, 10, 0.5, [0]),
        (8, 10, 0.5, [0]),
        (10, 4, 0.5, [0, 2, 4, 6]),
        (11, 4, 0.5, [0, 2, 4, 5, 7]),
        (10, 4, 1.0, [0, 3, 6]),
        (5, 1, 0.5, [0, 1, 2, 3, 4]),
    ],
)
def test_windows_are_evenly_spaced_up_to_the_end(
    length: int, window: int, step: float, expected: list[int]
) -> None:
    assert window_starts(length, window, step) == expected


@pytest.mark.parametrize("shape", [(30, 40, 50), (7, 90, 64), (160, 160, 160)])
def test_windows_cover_every_voxel_and_have_one_shape(shape: tuple[int, int, int]) -> None:
    boxes = window_boxes(shape, (32, 32, 32))
    covered = np.zeros(shape, dtype=bool)
    for box in boxes:
        covered[box.slices] = True
    assert covered.all()
    assert len({box.shape for box in boxes}) == 1


def test_many_windows_overlap_along_the_first_axis_only() -> None:
    few = window_boxes((64, 64, 48), (32, 32, 32))
    assert len(few) == 3 * 3 * 2
    many = window_boxes((64, 128, 128), (32, 32, 32))
    assert MANY_WINDOWS < 3 * 7 * 7
    assert len(many) == 3 * 4 * 4


def test_where_many_windows_overlap_is_an_option() -> None:
    shape, window = (64, 128, 128), (32, 32, 32)
    assert len(window_boxes(shape, window, "half")) == 3 * 7 * 7
    published = window_boxes(shape, window, "adaptive-i")
    assert len(published) == 2 * 4 * 7
    assert {box.start[2] for box in published} == {0, 16, 32, 48, 64, 80, 96}
    assert window_boxes((64, 64, 48), window, "adaptive-i") == window_boxes((64, 64, 48), window)


def test_importance_is_symmetric_positive_and_greatest_in_the_middle() -> None:
    weights = gaussian_importance_map((5, 8, 16))
    assert torch.equal(weights, weights.flip(0, 1, 2))
    assert float(weights.min()) > 0
    assert float(weights.max()) == pytest.approx(1.0)
    # One standard deviation is an eighth of the window.
    line = gaussian_importance_map((1, 1, 17))[0, 0]
    assert float(line[8 + 2] / line[8]) == pytest.approx(np.exp(-0.5 * (2 / (17 / 8)) ** 2))


def test_local_networks_leave_no_seams() -> None:
    x = torch.randn(1, 1, 20, 33, 29, generator=torch.Generator().manual_seed(1))

    def forward(patch: Tensor) -> Tensor:
        return torch.cat([patch, patch.square(), 1 - patch], 1)

    boxes = window_boxes((20, 33, 29), (12, 16, 16))
    assert len(boxes) > 8
    blended = predict_windows(forward, x, boxes, accumulate_on="cpu")
    torch.testing.assert_close(blended, forward(x), atol=1e-5, rtol=1e-5)


def test_overlaps_are_weighted_means() -> None:
    x = torch.zeros(1, 1, 1, 1, 6)
    answers = iter([torch.full((1, 1, 1, 1, 4), 1.0), torch.full((1, 1, 1, 1, 4), 3.0)])
    boxes = window_boxes((1, 1, 6), (1, 1, 4))
    result = predict_windows(lambda _: next(answers), x, boxes, accumulate_on="cpu")[0, 0, 0, 0]
    weights = gaussian_importance_map((1, 1, 4))[0, 0]
    second = (weights[2] * 1 + weights[0] * 3) / (weights[2] + weights[0])
    torch.testing.assert_close(
        result[[0, 1, 2, 5]], torch.stack([*torch.tensor([1.0, 1.0]), second, torch.tensor(3.0)])
    )
