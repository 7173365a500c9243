"""Every rule of scaling intensities against hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.normalization import Normalization
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.imaging.normalization import annotated_sample, fitted, normalize

VALUES = np.array([-1000.0, -100.0, 0.0, 100.0, 400.0], dtype=np.float32)


def test_z_scores_have_mean_0_and_deviation_1() -> None:
    found = normalize(VALUES, Normalization("z-score"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (VALUES - VALUES.mean()) / VALUES.std(), atol=1e-5)


def test_a_window_becomes_0_to_1() -> None:
    found = normalize(VALUES, Normalization("unit", (-200.0, 300.0)))
    np.testing.assert_allclose(found, [0, 0.2, 0.4, 0.6, 1.0], atol=1e-6)
    found = normalize(VALUES, Normalization("unit"))
    np.testing.assert_allclose(found, (VALUES + 1000) / 1400, atol=1e-6)


def test_clipping_comes_first() -> None:
    found = normalize(VALUES, Normalization("fixed", clip=(-50.0, 150.0), mean=50.0, std=10.0))
    np.testing.assert_allclose(found, [-10, -10, -5, 5, 10], atol=1e-6)
    many = np.arange(1001, dtype=np.float32)
    found = normalize(many, Normalization("unit", clip_percentiles=(10.0, 90.0)))
    assert (found[:101] == 0).all()
    assert (found[900:] == 1).all()
    assert found[500] == pytest.approx(0.5)


def test_the_foreground_rule_is_that_of_our_own_networks() -> None:
    image = np.random.default_rng(0).gamma(2, 100, (8, 9, 10)).astype(np.float32)
    statistics = foreground_statistics(image)
    found = normalize(image[:4], Normalization(), statistics=statistics)
    np.testing.assert_array_equal(found, standardize(image[:4], statistics))


def test_a_fit_looks_at_annotated_voxels_only() -> None:
    labels = np.array([0, 1, 255, 2, 14], dtype=np.uint8)
    sample = annotated_sample(VALUES, labels)
    assert sample.tolist() == [-100, 100, 400]
    how = fitted(Normalization("fitted"), [sample, np.zeros(0, np.float32)])
    assert how.rule == "fixed"
    assert (how.mean, how.std) == pytest.approx((133.3333, 205.4805), abs=1e-3)
    assert how.clip == pytest.approx(np.percentile(sample, (0.5, 99.5)), abs=1e-3)
    kept = fitted(Normalization("fitted", clip=(-1.0, 1.0)), [sample])
    assert kept.clip == (-1.0, 1.0)
    fixed = Normalization("z-score")
    assert fitted(fixed, []) is fixed


def test_what_makes_no_sense_is_said() -> None:
    with pytest.raises(DatasetError, match="annotated"):
        fitted(Normalization("fitted"), [np.zeros(0, np.float32)])
    with pytest.raises(UsageError, match="fitted"):
        normalize(VALUES, Normalization("fitted"))
    for mistake in ({"clip": (1.0, 1.0)}, {"clip_percentiles": (5.0,)}, {"std": 0.0}):
        with pytest.raises(UsageError):
            Normalization("fixed", **mistake)  # type: ignore[arg-type]
