import numpy as np
import pytest

from FlareMRCore.data.geometry import Triple
from FlareMRCore.imaging.surface_elements import element_areas_mm2


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (3.0, 1.2, 1.2), (0.7, 5.0, 2.3)])
def test_areas_equal_the_reference_implementation(spacing_mm: Triple) -> None:
    tables = pytest.importorskip("surface_distance.lookup_tables")
    expected = tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    np.testing.assert_allclose(element_areas_mm2(spacing_mm), expected, atol=1e-9)


def test_areas_by_hand() -> None:
    areas = element_areas_mm2((2.0, 3.0, 4.0))
    assert areas[0] == areas[255] == 0
    assert areas[0b00001111] == pytest.approx(3 * 4)  # a plane across K
    assert areas[0b00110011] == pytest.approx(2 * 4)  # across J
    assert areas[0b01010101] == pytest.approx(2 * 3)  # across I
    corner = np.linalg.norm(np.cross((-1, 1.5, 0), (-1, 0, 2))) / 2
    assert areas[1] == areas[128] == areas[254] == pytest.approx(corner)


def test_inside_and_outside_have_the_same_surface() -> None:
    areas = element_areas_mm2((3.0, 1.2, 0.8))
    np.testing.assert_allclose(areas, areas[::-1])


def test_axes_may_be_exchanged() -> None:
    codes = np.arange(256)
    corners = codes[:, None] >> np.arange(7, -1, -1) & 1
    turned = corners.reshape(256, 2, 2, 2).transpose(0, 3, 1, 2).reshape(256, 8)
    areas = element_areas_mm2((3.0, 1.2, 0.8))
    exchanged = element_areas_mm2((0.8, 3.0, 1.2))
    np.testing.assert_allclose(areas, exchanged[turned @ (1 << np.arange(7, -1, -1))])
