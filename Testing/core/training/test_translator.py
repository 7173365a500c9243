import numpy as np
import pytest
import torch

from FlareMRCore.training.translation_parameters import (
    CT_RANGE,
    MR_RANGE,
    TranslationImageRange,
)
from FlareMRCore.training.translator import to_unit_range, translate_patches, translate_slices

CPU = torch.device("cpu")


def _volume() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (9, 30, 34)).astype(np.float32)


def test_slices_go_through_unchanged_and_in_order() -> None:
    volume = _volume()
    shapes = []

    def same(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        return x

    assert np.array_equal(translate_slices(volume, same, device=CPU, batch_size=4), volume)
    assert shapes == [(4, 1, 64, 64), (4, 1, 64, 64), (1, 1, 64, 64)]


def test_patches_cover_the_volume_and_overlaps_are_averaged() -> None:
    volume = _volume()
    seen = []

    def same(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape[2:]))
        return x

    result = translate_patches(volume, same, window=(8, 16, 16), stride=(4, 8, 8), device=CPU)
    assert result == pytest.approx(volume, abs=1e-6)
    assert set(seen) == {(8, 16, 16)}
    numbers = iter(range(100))
    constant = translate_patches(
        volume,
        lambda x: torch.full_like(x, float(next(numbers))),
        window=(12, 32, 24),
        stride=(12, 32, 12),
        device=CPU,
    )
    assert constant[0, 0].tolist() == [0.0] * 12 + [0.5] * 12 + [1.0] * 10


def test_values_become_minus_one_to_one() -> None:
    hounsfield = np.array([[[-1000, -350, 0, 350, 3000]]], dtype=np.float32)
    assert to_unit_range(hounsfield, CT_RANGE).ravel().tolist() == [-1, -1, 0, 1, 1]
    mr = np.arange(1001, dtype=np.float32).reshape(1, 7, 143)
    scaled = to_unit_range(mr, MR_RANGE)
    assert float(scaled.min()) == -1
    assert float(scaled.max()) == 1
    assert float(scaled.ravel()[500]) == pytest.approx(0.0, abs=2e-3)
    assert float(to_unit_range(mr * 0, TranslationImageRange()).max()) == -1
