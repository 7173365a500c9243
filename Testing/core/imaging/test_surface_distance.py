import warnings

import numpy as np
import pytest
from scipy import ndimage

from FlareMRCore.data.geometry import Triple
from FlareMRCore.errors import GeometryError
from FlareMRCore.imaging.surface_distance import (
    hausdorff_95,
    neighbor_codes,
    surface_dice,
    surface_distances,
)

Masks = tuple[np.ndarray, np.ndarray]
SPACINGS: list[Triple] = [(1.0, 1.0, 1.0), (3.0, 1.2, 1.2), (0.7, 2.5, 5.0)]


def ellipsoid(shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    grid = np.meshgrid(*map(np.arange, (24, 32, 40)), indexing="ij")
    center = np.add((12, 16, 20), shift)
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, center, (7, 10, 13), strict=True)) < 1


def noise_masks(seed: int) -> Masks:
    """Two ragged masks with islands and holes."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((2, 14, 16, 18)), (0, 1, 1, 1))
    return field[0] > 0.05, field[0] + 0.5 * field[1] > 0.1


MASKS: dict[str, Masks] = {
    "shifted": (ellipsoid(), ellipsoid((1, -2, 3))),
    "far": (ellipsoid((-5, -6, -7)), ellipsoid((4, 5, 6))),
    "same": (ellipsoid(), ellipsoid()),
    "cut": (ellipsoid((-12, 0, 0)), ellipsoid((-12, 0, 20))),
    "voxel": (ellipsoid((0, 0, 0)), np.pad(np.ones((1, 1, 1), bool), ((3, 20), (5, 26), (39, 0)))),
    "ragged": noise_masks(1),
    "ragged too": noise_masks(2),
    "static": tuple(np.random.default_rng(3).random((2, 10, 12, 14)) > 0.5),
}


def reference_scores(masks: Masks, spacing_mm: Triple, tolerances_mm: list[float]) -> list[float]:
    package = pytest.importorskip("surface_distance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls SciPy by names that are going away
        distances = package.compute_surface_distances(*masks, spacing_mm)
    return [
        *(package.compute_surface_dice_at_tolerance(distances, t) for t in tolerances_mm),
        package.compute_robust_hausdorff(distances, 95),
    ]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("name", MASKS)
def test_scores_equal_the_reference_implementation(name: str, spacing_mm: Triple) -> None:
    tolerances_mm = [0.0, 1.0, 1.2, 2.0, 2.4, 3.0, 5.0, 7.0]
    distances = surface_distances(*MASKS[name], spacing_mm=spacing_mm)
    ours = [surface_dice(distances, tolerance_mm=t) for t in tolerances_mm]
    expected = reference_scores(MASKS[name], spacing_mm, tolerances_mm)
    np.testing.assert_allclose([*ours, hausdorff_95(distances)], expected, atol=1e-6)


def test_every_code_is_tested() -> None:
    assert len(np.unique(neighbor_codes(MASKS["static"][0]))) == 256


def test_two_plates_by_hand() -> None:
    first = np.zeros((40, 30, 30), dtype=bool)
    second = first.copy()
    first[5:10], second[5:12] = True, True
    distances = surface_distances(first, second, spacing_mm=(0.5, 2.0, 2.0))
    # The lower faces coincide, the upper ones lie 1 mm apart.
    assert surface_dice(distances, tolerance_mm=0.999) < 0.6
    assert surface_dice(distances, tolerance_mm=1.0) == 1.0
    assert hausdorff_95(distances) == pytest.approx(1.0)


@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_axis_order_does_not_matter(axes: tuple[int, int, int]) -> None:
    first, second = MASKS["ragged"]
    spacing = (3.0, 1.2, 0.8)
    k, j, i = (spacing[axis] for axis in axes)
    straight = surface_distances(first, second, spacing_mm=spacing)
    turned = surface_distances(first.transpose(axes), second.transpose(axes), spacing_mm=(k, j, i))
    for tolerance in (0.9, 2.1, 3.3):
        assert surface_dice(turned, tolerance_mm=tolerance) == pytest.approx(
            surface_dice(straight, tolerance_mm=tolerance)
        )
    assert hausdorff_95(turned) == pytest.approx(hausdorff_95(straight))


def test_reference_and_prediction_may_be_exchanged() -> None:
    first, second = MASKS["ragged"]
    one = surface_distances(first, second, spacing_mm=SPACINGS[1])
    other = surface_distances(second, first, spacing_mm=SPACINGS[1])
    assert surface_dice(one, tolerance_mm=2) == pytest.approx(surface_dice(other, tolerance_mm=2))
    np.testing.assert_array_equal(one.reference_mm, other.prediction_mm)


def test_empty_masks() -> None:
    empty = np.zeros((24, 32, 40), dtype=bool)
    neither = surface_distances(empty, empty, spacing_mm=(1.0, 1.0, 1.0))
    assert neither.reference_mm.size == neither.prediction_mm2.size == 0
    assert np.isnan([surface_dice(neither, tolerance_mm=1), hausdorff_95(neither)]).all()
    one = surface_distances(ellipsoid(), empty, spacing_mm=(1.0, 1.0, 1.0))
    assert np.isinf(one.reference_mm).all()
    assert surface_dice(one, tolerance_mm=100) == 0
    assert np.isnan(hausdorff_95(one))


def test_shapes_must_agree() -> None:
    with pytest.raises(GeometryError, match="shapes"):
        surface_distances(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), spacing_mm=(1, 1, 1))
