"""Organs grown and shrunk on their own: size changes, the rest of the sample stays."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from FlareMRCore.training import organ_size
from FlareMRCore.training.organ_size import resized_organs
from FlareMRCore.training.pack import PackedCase
from FlareMRCore.training.parameters import SamplingParameters
from FlareMRCore.training.sampling import _pick, _source_grid

sys.path.insert(0, str(Path(__file__).parent))
from cohort import tiny_case

SHAPE = (48, 48, 48)


def _ball() -> PackedCase:
    """A kidney of radius 9 voxels in the middle of fat, at 3 mm."""
    axes = np.meshgrid(*(np.arange(n) - 23.5 for n in SHAPE), indexing="ij")
    labels = np.where(np.sqrt(sum(a**2 for a in axes)) < 9, 2, 0).astype(np.uint8)
    return replace(tiny_case(), labels=labels, tissues=labels, spacing_mm=3.0)


def _points(case: PackedCase) -> tuple[Tensor, Tensor]:
    axes = [(torch.arange(n) - 23.5) * case.spacing_mm for n in SHAPE]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1), torch.full((3,), 23.5)


def _diameter_ratio(case: PackedCase, moved: Tensor, center: Tensor) -> float:
    index = (moved / case.spacing_mm + center).round().long().clamp(0, 47)
    found = torch.from_numpy(case.labels)[index[..., 0], index[..., 1], index[..., 2]]
    return float(((found == 2).sum() / (case.labels == 2).sum()) ** (1 / 3))


@pytest.mark.parametrize(("factor", "diameter"), [(0.6, 0.63), (0.8, 0.84), (1.35, 1.19)])
def test_the_organ_shrinks_and_grows(
    factor: float, diameter: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: q (1 + (1 / factor - 1) exp(-q^2 / 2.88)) = 1 solved for q, in radii."""
    monkeypatch.setattr(organ_size, "SIZE", (factor, factor))
    case = _ball()
    points, center = _points(case)
    moved = resized_organs(points, case, center, np.random.default_rng(0))
    assert _diameter_ratio(case, moved, center) == pytest.approx(diameter, abs=0.04)
    corner = (moved - points)[0, 0, 0].norm()
    assert float(corner) < 0.25 * float((moved - points).norm(dim=-1).max())


@pytest.mark.parametrize("factor", [0.6, 1.35])
def test_the_map_never_folds(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organ_size, "SIZE", (factor, factor))
    case = _ball()
    points, center = _points(case)
    moved = resized_organs(points, case, center, np.random.default_rng(0))
    for axis in range(3):
        assert float(moved[..., axis].diff(dim=axis).min()) > 0.3 * case.spacing_mm


def test_without_organs_nothing_moves() -> None:
    case = _ball()
    empty = replace(case, labels=np.zeros_like(case.labels))
    points, center = _points(case)
    assert torch.equal(resized_organs(points, empty, center, np.random.default_rng(0)), points)


def test_samples_get_organs_of_other_sizes_only_if_asked() -> None:
    case = _ball()
    still = SamplingParameters(spacing_mm=3.0, rotation_deg=0, scale=0, elastic_mm=0)
    sizes = {}
    for share in (0.0, 1.0):
        parameters = replace(still, organ_size_share=share)
        sizes[share] = {
            int((_pick((case.labels,), grid)[0] == 2).sum())
            for grid in (
                _source_grid(case, SHAPE, parameters, np.random.default_rng(seed))
                for seed in range(8)
            )
        }
    assert max(sizes[1.0]) > 1.2 * max(sizes[0.0])
    assert min(sizes[1.0]) < 0.8 * min(sizes[0.0])
