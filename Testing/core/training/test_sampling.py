import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareMRCore.training.contrast import (
    _fat_phase,
    physics_signals,
    random_appearance,
    random_signals,
    through_random_curve,
)
from FlareMRCore.training.corruption import blur, corrupt, display_window, thick_slices
from FlareMRCore.training.inner_structure import add_inner_structure
from FlareMRCore.training.parameters import SamplingParameters
from FlareMRCore.training.sampling import (
    IGNORED,
    MR_CURVE_SHARE,
    _pick,
    _source_grid,
    _vary_mr,
    draw_sample,
)
from FlareMRCore.training.tissues import FAT, TISSUES, tissue_map

sys.path.insert(0, str(Path(__file__).parent))
from cohort import tiny_case

STILL = SamplingParameters(
    shapes=((24, 24, 24),), shape_shares=(1.0,), rotation_deg=0, scale=0, elastic_mm=0
)


def test_the_same_seed_draws_the_same_sample() -> None:
    cases = (tiny_case(0), tiny_case(1))
    first, second = (
        draw_sample(cases, SamplingParameters(), np.random.default_rng(5)) for _ in range(2)
    )
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.labels, second.labels)
    other = draw_sample(cases, SamplingParameters(), np.random.default_rng(6))
    assert other.image.shape != first.image.shape or not torch.equal(other.image, first.image)


def test_without_movement_a_sample_has_the_labels_of_the_case() -> None:
    case = tiny_case(0)
    samples = [draw_sample((case,), STILL, np.random.default_rng(seed)) for seed in range(10)]
    unmoved = [np.array_equal(sample.labels.numpy(), case.labels) for sample in samples]
    assert sum(unmoved) >= 5  # about a third of the samples reach over the edge on purpose


def test_right_stays_right() -> None:
    """The liver lies at higher I (Right) than the spleen in every sample: nothing is mirrored."""
    parameters = replace(STILL, rotation_deg=7, scale=0.2, elastic_mm=8)
    for seed in range(20):
        labels = draw_sample((tiny_case(0),), parameters, np.random.default_rng(seed)).labels
        liver, spleen = ((labels == value).nonzero()[:, 2].float() for value in (1, 3))
        if len(liver) and len(spleen):
            assert liver.mean() > spleen.mean()


def test_samples_are_standardized_and_finite() -> None:
    for seed in range(10):
        sample = draw_sample((tiny_case(0),), SamplingParameters(), np.random.default_rng(seed))
        assert bool(torch.isfinite(sample.image).all())
        assert float(sample.image.abs().max()) < 8
        assert float(sample.image.std()) > 0.05


def test_contrasts_differ_and_paired_organs_are_alike() -> None:
    signals = np.stack([physics_signals(np.random.default_rng(seed)) for seed in range(200)])
    assert np.isfinite(signals).all()
    assert (signals >= 0).all()
    liver_darker = (signals[:, 1] < signals[:, 3]).mean()
    assert 0.2 < liver_darker < 0.95
    kidneys_equal = np.isclose(signals[:, 2], signals[:, 13], rtol=1e-4).mean()
    assert kidneys_equal > 0.6
    fat_dark = (signals[:, FAT] < 0.3 * signals[:, 3]).mean()
    assert 0.2 < fat_dark < 0.8


def test_random_signals_keep_air_dark_mostly() -> None:
    air = [random_signals(np.random.default_rng(seed))[0] for seed in range(100)]
    assert np.mean(np.array(air) < 0.08) > 0.75


@pytest.mark.parametrize("family", [0, 1, 2])
def test_each_family_shows_the_organs(family: int) -> None:
    case = tiny_case(0)
    shares = tuple(float(n == family) for n in range(3))
    image = random_appearance(
        torch.from_numpy(case.tissues.astype(np.int64)),
        torch.from_numpy(case.image.astype(np.float32)),
        np.random.default_rng(3),
        shares=(shares[0], shares[1], shares[2]),
        network_share=0.6,
    )
    assert image.shape == case.labels.shape
    liver, rest = image[case.labels == 1], image[case.tissues == 43]
    assert abs(float(liver.mean() - rest.mean())) > 0.01 * float(image.max())


def test_curves_come_with_and_without_the_random_network() -> None:
    case = tiny_case(0)
    parameters = replace(STILL, contrast_shares=(0.0, 0.0, 1.0), keep_ct=0.0)
    for seed in range(3):
        never, usual, always = (
            draw_sample((case,), replace(parameters, network_share=s), np.random.default_rng(seed))
            for s in (0.0, SamplingParameters().network_share, 1.0)
        )
        assert torch.equal(never.labels, always.labels)
        assert not torch.equal(never.image, always.image)
        assert torch.equal(usual.image, never.image) != torch.equal(usual.image, always.image)


def test_unlabeled_voxels_between_labels_are_fat_and_outside_is_air() -> None:
    labels = np.zeros((3, 40, 40), dtype=np.uint8)
    labels[:, 10:30, 10:30] = 22
    labels[:, 15:20, 15:20] = 0
    tissues = tissue_map(labels, None)
    assert (tissues[:, 15:20, 15:20] == FAT).all()
    assert (tissues[:, 0] == 0).all()


def test_every_label_value_has_a_tissue() -> None:
    assert set(range(34)) <= set(TISSUES)


def test_blur_keeps_the_sum_and_spreads_a_point() -> None:
    image = torch.zeros(15, 15, 15)
    image[7, 7, 7] = 1
    blurred = blur(image, (1.0, 0.0, 2.0))
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(blurred[7, 6, 7]) == 0
    assert float(blurred[7, 7, 5]) > float(blurred[5, 7, 7])


def test_thick_slices_average_along_one_axis_only() -> None:
    torch.manual_seed(0)
    image = torch.rand(24, 24, 24)
    changed = [
        float((thick_slices(image, 1.0, np.random.default_rng(seed)) - image).abs().mean())
        for seed in range(5)
    ]
    assert min(changed) > 0.1


def test_corruption_keeps_the_shape_and_is_not_negative() -> None:
    image = torch.rand(16, 12, 20)
    for seed in range(10):
        result = corrupt(image, 3.0, np.random.default_rng(seed))
        assert result.shape == image.shape
        assert float(result.min()) >= 0
        assert bool(torch.isfinite(result).all())


def test_a_repeated_border_is_not_asked_for() -> None:
    parameters = replace(STILL, border_share=1.0)
    found = 0
    for seed in range(10):
        sample = draw_sample((tiny_case(0),), parameters, np.random.default_rng(seed))
        ignored = sample.labels == IGNORED
        assert bool(sample.allowed[IGNORED].all())
        found += int(ignored[-1].all())
        if bool(ignored[-1].all()):
            assert torch.equal(sample.image[0, -1], sample.image[0, -2])
        assert not bool(ignored[12, 12, 11:13].any())
    assert found > 5


def test_samples_near_organs_show_small_organs_more_often() -> None:
    labels = np.zeros((60, 60, 60), dtype=np.uint8)
    labels[8:52, 8:52, 8:52] = 1
    labels[8:12, 8:12, 8:12] = 7
    case = replace(tiny_case(0), labels=labels)
    counts = []
    for share in (0.0, 1.0):
        parameters = replace(STILL, organ_share=share, shapes=((16, 16, 16),), shape_shares=(1.0,))
        grids = [
            _source_grid(case, (16, 16, 16), parameters, np.random.default_rng(seed))
            for seed in range(30)
        ]
        counts.append(sum(bool((_pick((labels,), grid)[0] == 7).any()) for grid in grids))
    assert counts[1] > counts[0] + 5


@pytest.mark.parametrize("organ_share", [0.0, 1.0])
def test_a_case_without_organs_is_sampled_anywhere(organ_share: float) -> None:
    """A pseudo-label that failed is empty; the training must go on."""
    case = tiny_case(0)
    empty = replace(case, labels=np.zeros_like(case.labels))
    parameters = replace(STILL, organ_share=organ_share)
    for seed in range(5):
        sample = draw_sample((empty,), parameters, np.random.default_rng(seed))
        assert torch.isfinite(sample.image).all()
        assert not (sample.labels > 0).any()


def test_fat_out_of_phase_is_dark_where_it_meets_water() -> None:
    tissues = torch.full((8, 8, 8), FAT)
    tissues[:, :, 4:] = 3
    signed = torch.ones(8, 8, 8) * _fat_phase(tissues, torch.zeros(8, 8, 8))
    assert signed[0, 0, 0] == -1
    assert signed[0, 0, 7] == 1
    blurred = blur(signed, (0.0, 0.0, 0.8)).abs()
    assert float(blurred[0, 0, 3:5].max()) < 0.5 * float(blurred[0, 0, 1])


def test_inner_structure_stays_in_its_organs() -> None:
    tissues = torch.full((20, 20, 20), 22)
    tissues[4:16, 4:16, 4:16] = 2
    tissues[:3, :3, :3] = 11
    hounsfield = torch.full((20, 20, 20), -120.0)
    noise = torch.randn(20, 20, 20, generator=torch.Generator().manual_seed(0))
    seen = torch.zeros(20, 20, 20, dtype=torch.bool)
    for seed in range(20):
        image = torch.ones(20, 20, 20)
        rng = np.random.default_rng(seed)
        seen |= add_inner_structure(image, tissues, hounsfield, noise, 3.0, rng) != 1
    assert not bool(seen[tissues == 22].any())
    assert bool(seen[8:12, 8:12, 8:12].any())
    assert not bool(seen[4, 4:16, 4:16].any())
    assert bool(seen[:3, :3, :3].all())


def test_random_curves_stay_between_0_and_1_and_many_are_monotonic() -> None:
    ramp = torch.linspace(0, 1, 50)
    curves = [through_random_curve(ramp, np.random.default_rng(seed)) for seed in range(60)]
    assert all(0 <= float(c.min()) <= float(c.max()) <= 1 for c in curves)
    steps = [curve.diff() for curve in curves]
    rising = sum(bool((s >= 0).all()) for s in steps)
    falling = sum(bool((s <= 0).all()) for s in steps)
    assert rising >= 5
    assert falling >= 5
    assert rising + falling < 50


def test_real_mr_keeps_its_contrast_most_of_the_time() -> None:
    image = torch.linspace(0, 800, 24).repeat(24, 24, 1)
    kept = []
    for seed in range(60):
        varied = _vary_mr(image, 3.0, np.random.default_rng(seed))
        assert float(varied.min()) >= 0
        pair = torch.stack([image.flatten(), varied.flatten()])
        kept.append(float(torch.corrcoef(pair)[0, 1]) > 0.5)
    assert 0.5 < np.mean(kept) < 1.0 - MR_CURVE_SHARE / 4


def test_a_display_window_takes_the_darkest_and_brightest_values() -> None:
    image = torch.linspace(0, 1, 20**3).reshape(20, 20, 20)
    windowed = [display_window(image, np.random.default_rng(seed)) for seed in range(30)]
    lost = [float((w == 0).float().mean()) for w in windowed]
    saturated = [float((w == w.max()).float().mean()) for w in windowed]
    assert max(lost) > 0.15
    assert min(lost) < 0.05
    assert 0.02 < max(saturated) < 0.1
    assert all(bool((w.flatten().diff() >= 0).all()) for w in windowed)


def test_samples_pass_a_display_window_only_if_asked() -> None:
    parameters = replace(STILL, keep_ct=0.0)
    changed = 0
    for seed in range(6):
        plain, windowed = (
            draw_sample((tiny_case(0),), replace(parameters, window_share=s), rng)
            for s, rng in ((0.0, np.random.default_rng(seed)), (1.0, np.random.default_rng(seed)))
        )
        assert bool(torch.isfinite(windowed.image).all())
        changed += not torch.equal(plain.image, windowed.image)
    assert changed == 6
