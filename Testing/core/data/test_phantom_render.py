"""Signals of the phantom's tissues in each sequence."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.phantom import phantom_geometry
from FlareMRCore.data.phantom_anatomy import Anatomy, make_anatomy
from FlareMRCore.data.phantom_render import (
    SEQUENCES,
    RenderOptions,
    Sequence,
    fat_signal,
    render,
    sequence_names,
    water_signal,
)
from FlareMRCore.data.phantom_tissues import organ_lookup, tissue_code, tissue_table

PLAIN = RenderOptions(noise=0.0, bias=0.0, variation=0.0, texture=0.0)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return make_anatomy(4, phantom_geometry(6.0))


def medians(anatomy: Anatomy, sequence: str) -> dict[str, float]:
    image = render(anatomy, sequence, options=PLAIN).array
    return {
        tissue.id: float(np.median(image[anatomy.tissues == tissue.code]))
        for tissue in tissue_table().values()
        if (anatomy.tissues == tissue.code).sum() > 20
    }


def test_tissue_codes_of_the_organs_are_flare_values() -> None:
    lookup = organ_lookup()
    assert lookup[:14].tolist() == list(range(14))
    assert lookup[tissue_code("left_kidney_medulla")] == 13
    assert lookup[tissue_code("muscle")] == 0
    codes = [tissue.code for tissue in tissue_table().values()]
    assert len(set(codes)) == len(codes)


def test_spin_echo_and_gradient_echo_equations() -> None:
    liver = tissue_table()["liver"]
    spin = Sequence(1e9, 50.0, None, 1.0)
    expected = liver.pd * (1 - liver.fat) * np.exp(-50.0 / liver.t2_ms)
    assert water_signal(liver, spin) == pytest.approx(expected)
    gradient = Sequence(1e9, 0.0, 30.0, 1.0)
    assert water_signal(liver, gradient) == pytest.approx(liver.pd * (1 - liver.fat) * 0.5)
    assert fat_signal(tissue_table()["cerebrospinal_fluid"], spin) == 0.0


def test_ct_shows_hounsfield_units(anatomy: Anatomy) -> None:
    seen = medians(anatomy, "ct")
    assert seen["air"] == pytest.approx(-1000, abs=5)
    assert seen["subcutaneous_fat"] == pytest.approx(-100, abs=30)
    assert 90 < seen["liver"] < 130
    assert seen["aorta"] > seen["liver"] > seen["muscle"]


def test_t2_shows_fluid_bright_and_fat_suppression_darkens_fat(anatomy: Anatomy) -> None:
    t2, suppressed = medians(anatomy, "t2"), medians(anatomy, "t2_fs")
    for seen in (t2, suppressed):
        assert seen["gallbladder"] > 2 * seen["spleen"]
        assert seen["spleen"] > 1.3 * seen["liver"] > seen["muscle"]
    assert t2["visceral_fat"] > t2["liver"]
    assert suppressed["visceral_fat"] < suppressed["liver"]


def test_t1_shows_liver_brighter_than_spleen_and_fat_brightest(anatomy: Anatomy) -> None:
    seen = medians(anatomy, "t1_in")
    assert seen["subcutaneous_fat"] > seen["liver"] > seen["spleen"] > seen["gallbladder"]


def test_contrast_agent_arrives_in_order(anatomy: Anatomy) -> None:
    phases = {name: medians(anatomy, name) for name in ("t1_pre", "arterial", "venous", "delay")}
    assert max(phases, key=lambda name: phases[name]["aorta"]) == "arterial"
    assert max(phases, key=lambda name: phases[name]["liver"]) == "venous"
    cortex = phases["arterial"]["left_kidney_cortex"]
    assert cortex > 1.5 * phases["t1_pre"]["left_kidney_cortex"]
    assert phases["t1_pre"]["gallbladder"] == pytest.approx(phases["delay"]["gallbladder"], rel=0.2)


def test_diffusion_weighting_keeps_the_spleen_and_drops_fluid(anatomy: Anatomy) -> None:
    seen = medians(anatomy, "dwi")
    assert seen["spleen"] > 1.5 * seen["liver"]
    assert seen["spleen"] > 1.5 * seen["visceral_fat"]


def test_opposed_phase_draws_a_dark_line_between_fat_and_water() -> None:
    geometry = phantom_geometry(3.0, extent_mm=(3.0, 9.0, 90.0))
    i = geometry.shape[2]
    tissues = np.full(geometry.shape, tissue_code("visceral_fat"), dtype=np.uint8)
    tissues[:, :, i // 2 :] = tissue_code("spleen")
    anatomy = Anatomy(tissues, np.zeros(geometry.shape, dtype=bool), geometry, 0)
    opposed = render(anatomy, "t1_out", options=PLAIN).array[0, 1]
    in_phase = render(anatomy, "t1_in", options=PLAIN).array[0, 1]
    border = slice(i // 2 - 1, i // 2 + 1)
    assert opposed[border].min() < 0.75 * min(opposed[2], opposed[-3])
    assert in_phase[border].min() > 0.95 * min(in_phase[2], in_phase[-3])


def test_all_sequences_differ(anatomy: Anatomy) -> None:
    images = [render(anatomy, name, options=PLAIN).array.ravel() for name in sequence_names()]
    assert len(images) == len(SEQUENCES) + 1 == 10
    likeness = np.corrcoef(images) - np.eye(len(images))
    assert likeness.max() < 0.999


def test_faults_do_what_they_say(anatomy: Anatomy) -> None:
    clean = render(anatomy, "t2", options=PLAIN).array
    doubled = render(
        anatomy,
        "t2",
        options=RenderOptions(
            noise=0.0, bias=0.0, variation=0.0, texture=0.0, scale=2000.0, offset=7.0
        ),
    ).array
    np.testing.assert_allclose(doubled, 2 * clean + 7, rtol=1e-4)
    bias = render(
        anatomy, "t2", options=RenderOptions(noise=0.0, bias=0.3, variation=0.0, texture=0.0)
    ).array
    ratio = np.log(bias[clean > 20] / clean[clean > 20])
    assert 0.05 < ratio.std() < 0.6
    noisy = render(
        anatomy, "t2", options=RenderOptions(noise=0.1, bias=0.0, variation=0.0, texture=0.0)
    ).array
    air = noisy[anatomy.tissues == 0]
    assert air.min() >= 0
    # Rician noise without signal is a Rayleigh distribution, whose mean is 1.91 deviations.
    assert air.mean() / air.std() == pytest.approx(1.91, rel=0.1)


def test_seed_changes_the_look_and_not_the_person(anatomy: Anatomy) -> None:
    first, second = (render(anatomy, "venous", seed=n).array for n in (1, 2))
    assert not np.array_equal(first, second)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8


def test_left_and_right_kidney_vary_together(anatomy: Anatomy) -> None:
    options = RenderOptions(noise=0.0, bias=0.0, variation=0.3, texture=0.0)
    image = render(anatomy, "t1_pre", seed=3, options=options).array
    right, left = (
        np.median(image[anatomy.tissues == tissue_code(f"{side}_kidney_cortex")])
        for side in ("right", "left")
    )
    assert right == pytest.approx(left, rel=0.1)
