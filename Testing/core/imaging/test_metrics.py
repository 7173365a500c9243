import warnings

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry, Triple
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import GeometryError, UsageError
from FlareMRCore.imaging.metrics import OrganScore, dice, score_case, volume_ml

LIVER, AORTA, ESOPHAGUS = 1, 5, 10


def label_map(array: np.ndarray, spacing_mm: Triple = (3.0, 1.2, 1.2)) -> LabelMap:
    return LabelMap(array.astype(np.uint8), Geometry(array.shape, spacing_mm), organ_table())


def score(
    reference: np.ndarray,
    prediction: np.ndarray,
    value: int,
    mode: str,
    spacing_mm: Triple = (3.0, 1.2, 1.2),
) -> OrganScore:
    scores = score_case(
        label_map(reference, spacing_mm), label_map(prediction, spacing_mm), mode=mode
    )
    return next(s for s in scores if s.value == value)


def block(value: int, k: slice, i: slice = slice(4, 12)) -> np.ndarray:
    array = np.zeros((14, 16, 18), dtype=np.uint8)
    array[k, 3:9, i] = value
    return array


EMPTY = np.zeros((14, 16, 18), dtype=np.uint8)


def test_dice_and_volume_by_hand() -> None:
    first = np.array([[[1, 1, 1, 0]]], dtype=bool)
    second = np.array([[[0, 0, 1, 1]]], dtype=bool)
    assert dice(first, second) == pytest.approx(2 / 5)
    assert dice(first, first) == 1
    assert np.isnan(dice(first & ~first, first & ~first))
    assert volume_ml(first, Geometry((1, 1, 4), (10.0, 5.0, 2.0))) == pytest.approx(0.3)


@pytest.mark.parametrize("mode", ["standard", "flare"])
def test_perfect_is_one(mode: str) -> None:
    array = block(LIVER, slice(2, 9))
    found = score(array, array, LIVER, mode)
    assert (found.dice, found.surface_dice, found.flags) == (1, 1, ())
    assert found.reference_ml == found.prediction_ml == pytest.approx(7 * 6 * 8 * 4.32 / 1000)
    assert found.hausdorff_95_mm == 0 or mode == "flare"


def test_missing_in_both_counts_only_for_flare() -> None:
    official, standard = (score(EMPTY, EMPTY, LIVER, mode) for mode in ("flare", "standard"))
    assert (official.dice, official.surface_dice, official.flags) == (1, 1, ("absent",))
    assert np.isnan([standard.dice, standard.surface_dice, standard.hausdorff_95_mm]).all()


@pytest.mark.parametrize("mode", ["standard", "flare"])
@pytest.mark.parametrize("value", [LIVER, AORTA])
def test_missing_in_one_is_zero(mode: str, value: int) -> None:
    array = block(value, slice(2, 9))
    missing, unexpected = score(array, EMPTY, value, mode), score(EMPTY, array, value, mode)
    assert (missing.dice, missing.surface_dice, missing.flags) == (0, 0, ("missing",))
    assert (unexpected.dice, unexpected.surface_dice, unexpected.flags) == (0, 0, ("unexpected",))
    assert np.isnan(missing.hausdorff_95_mm)


def test_flare_sets_surface_dice_to_zero_below_a_dice_of_a_fifth() -> None:
    reference = block(LIVER, slice(2, 9), slice(2, 10))
    worse, better = (block(LIVER, slice(2, 9), slice(n, n + 8)) for n in (9, 8))
    official = score(reference, worse, LIVER, "flare")
    assert official.dice == pytest.approx(1 / 8)
    assert (official.surface_dice, official.flags) == (0, ("low-overlap",))
    assert score(reference, worse, LIVER, "standard").surface_dice > 0.2
    assert score(reference, better, LIVER, "flare").surface_dice > 0


def test_flare_ignores_what_lies_outside_of_the_reference_slab_and_its_last_slice() -> None:
    reference = block(AORTA, slice(3, 9))
    prediction = block(AORTA, slice(0, 8))
    official, standard = (score(reference, prediction, AORTA, m) for m in ("flare", "standard"))
    assert (official.dice, official.surface_dice) == (1, 1)
    assert standard.dice == pytest.approx(2 * 5 / (6 + 8))
    # The same mistake is counted for an organ without the slab rule.
    liver = score(reference // AORTA, prediction // AORTA, LIVER, "flare")
    assert liver.dice == round(standard.dice, 4)


def test_one_slice_reference_is_kept_and_flagged() -> None:
    reference, prediction = block(ESOPHAGUS, slice(5, 6)), block(ESOPHAGUS, slice(4, 7))
    official = score(reference, prediction, ESOPHAGUS, "flare")
    assert (official.dice, official.surface_dice, official.flags) == (1, 1, ("one-slice",))


def test_flare_rounds_to_four_decimals() -> None:
    reference, prediction = block(LIVER, slice(2, 9)), block(LIVER, slice(3, 10))
    official, standard = (score(reference, prediction, LIVER, m) for m in ("flare", "standard"))
    assert official.dice == round(standard.dice, 4) != standard.dice
    assert official.surface_dice == round(standard.surface_dice, 4)


def test_flare_takes_spacing_in_float32() -> None:
    # Five voxels of 0.4 mm are within 2 mm, but not five of float32(0.4) mm.
    reference, prediction = (block(AORTA, slice(2, 9), i) for i in (slice(2, 12), slice(2, 17)))
    spacing = (1.0, 1.0, 0.4)
    standard = score(reference, prediction, AORTA, "standard", spacing)
    assert standard.surface_dice == 1
    assert score(reference, prediction, AORTA, "flare", spacing).surface_dice < 0.95


@pytest.mark.parametrize("seed", range(3))
def test_flare_equals_the_official_steps_on_arrays_in_file_order(seed: int) -> None:
    package = pytest.importorskip("surface_distance")
    rng = np.random.default_rng(seed)
    reference = block(AORTA, slice(3, 10))
    prediction = np.roll(block(AORTA, slice(2, 12)), seed, axis=2)
    prediction[rng.random(prediction.shape) > 0.97] = 0
    found = score(reference, prediction, AORTA, "flare")
    # Arrays as a NIfTI file has them: (I, J, K).
    truth, guess = (a.transpose(2, 1, 0) == AORTA for a in (reference, prediction))
    levels = np.where(truth)[2]
    truth, guess = (a[:, :, levels.min() : levels.max()] for a in (truth, guess))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls SciPy by names that are going away
        distances = package.compute_surface_distances(truth, guess, np.float32([1.2, 1.2, 3.0]))
    expected = package.compute_surface_dice_at_tolerance(distances, 2)
    assert found.surface_dice == round(float(expected), 4)
    assert found.dice == round(float(package.compute_dice_coefficient(truth, guess)), 4)


def test_grids_must_agree() -> None:
    array = block(LIVER, slice(2, 9))
    with pytest.raises(GeometryError, match="different grids"):
        score_case(label_map(array), label_map(array, (3.0, 1.2, 1.3)))


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="standard, flare"):
        score_case(label_map(EMPTY), label_map(EMPTY), mode="official")  # type: ignore[arg-type]
