"""Running maximum against interpolating everything."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from FlareMRCore.data.geometry import Box, Geometry
from FlareMRCore.errors import Cancelled
from FlareMRCore.inference import upsampling
from FlareMRCore.inference.upsampling import upsample_labels, upsample_values
from FlareMRCore.progress import SilentReporter


def labels_on(
    logits: torch.Tensor, shape: tuple[int, int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Labels on a grid of `shape` over the same space."""
    k, j, i = logits.shape[1:]
    grid = Geometry((k, j, i), (3.0, 2.5, 1.7), (4.0, -3.0, 9.0))
    return upsample_labels(logits, grid, grid.resized(shape), SilentReporter())


SHAPES = [
    ((6, 8, 10), (19, 31, 23)),
    ((6, 8, 10), (6, 8, 10)),
    ((1, 8, 10), (5, 31, 10)),
    ((6, 1, 1), (12, 3, 1)),
    ((12, 16, 20), (5, 7, 31)),
]


def full(logits: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """All logits at full size, in double precision."""
    return functional.interpolate(
        logits[None].double(), size=shape, mode="trilinear", align_corners=False
    )[0]


@pytest.mark.parametrize(("coarse", "fine"), SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_equal_full_interpolation(
    coarse: tuple[int, int, int],
    fine: tuple[int, int, int],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upsampling, "SLAB_BYTES", 4000)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(14, *coarse, generator=generator)
    result = labels_on(logits, fine)
    np.testing.assert_array_equal(result, full(logits, fine).argmax(0).numpy())


def test_labels_equal_full_interpolation_where_background_prevails() -> None:
    logits = torch.randn(14, 12, 14, 16, generator=torch.Generator().manual_seed(3))
    logits[0] += 6
    logits[5, 4:6, 7:9, 3:5] += 12
    logits[9, 5:9, 9:11, 4:6] += 11
    result = labels_on(logits, (40, 50, 37))
    expected = full(logits, (40, 50, 37)).argmax(0).numpy()
    assert 0 < (expected > 0).mean() < 0.2
    np.testing.assert_array_equal(result, expected)


def test_a_class_that_wins_between_two_others_is_found() -> None:
    # Second at both grid points, first halfway between.
    logits = torch.tensor([[[[-9.0, -9.0]]], [[[10.0, -10.0]]], [[[-10.0, 10.0]]], [[[6.0, 6.0]]]])
    assert labels_on(logits, (1, 1, 8))[0, 0].tolist() == (
        full(logits, (1, 1, 8)).argmax(0)[0, 0].tolist()
    )
    assert 3 in labels_on(logits, (1, 1, 8))


def test_ties_go_to_the_first_class() -> None:
    assert not labels_on(torch.ones(3, 2, 2, 2), (4, 4, 4)).any()


def test_background_only_is_empty() -> None:
    logits = torch.zeros(3, 4, 4, 4)
    logits[0] = 1
    assert not labels_on(logits, (8, 8, 8)).any()


@pytest.mark.parametrize(("coarse", "fine"), SHAPES)
def test_values_equal_torch(coarse: tuple[int, int, int], fine: tuple[int, int, int]) -> None:
    values = torch.rand(coarse, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(
        values[None, None], size=fine, mode="trilinear", align_corners=False
    )[0, 0]
    grid = Geometry(coarse, (3.0, 2.5, 1.7), (4.0, -3.0, 9.0))
    result = upsample_values(values, grid, grid.resized(fine), SilentReporter())
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-5)


def test_a_part_of_the_target_gets_the_labels_of_that_part() -> None:
    logits = torch.randn(5, 6, 8, 10, generator=torch.Generator().manual_seed(4))
    grid = Geometry((6, 8, 10), (3.0, 2.5, 1.7), (4.0, -3.0, 9.0))
    target = grid.resized((19, 31, 23))
    box = Box((3, 0, 5), (11, 29, 23))
    whole = upsample_labels(logits, grid, target, SilentReporter())
    part = upsample_labels(logits, grid, target.cropped(box), SilentReporter())
    np.testing.assert_array_equal(part, whole[box.slices])


def test_slabs_can_be_cancelled() -> None:
    grid = Geometry((4, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(Cancelled):
        upsample_labels(torch.randn(3, 4, 4, 4), grid, grid, SilentReporter(lambda: True))
