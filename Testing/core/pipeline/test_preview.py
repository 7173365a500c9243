"""The picture: right file, right slices, right sides, right proportions."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError, UsageError
from FlareMRCore.imaging.drawing import blank, draw_text, text_size
from FlareMRCore.imaging.orientation import reorient, reorient_labels
from FlareMRCore.imaging.png import png_bytes
from FlareMRCore.pipeline.preview import BACKGROUND, GAP, draw_preview, preview_png
from FlareMRCore.pipeline.slices import best_slice, best_slices

LIVER, SPLEEN = (organ_table().by_id(name).color for name in ("liver", "spleen"))


def scene(geometry: Geometry | None = None) -> tuple[Volume, LabelMap]:
    """Liver at the upper, anterior right; spleen at the lower, posterior left (axes S, A, R)."""
    grid = geometry or Geometry((20, 60, 80), (10.0, 3.0, 3.0))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[12:18, 35:55, 45:75] = 1
    labels[8:13, 5:40, 5:35] = 3
    image = np.linspace(1, 2, labels.size, dtype=np.float32).reshape(grid.shape)
    return Volume(image, grid), LabelMap(labels, grid, organ_table())


def center_of(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[float, float]:
    rows, columns = np.nonzero((picture == color).all(axis=2))
    return rows.mean(), columns.mean()


def panels(picture: np.ndarray) -> list[np.ndarray]:
    """The three panels, found by the background between them."""
    body = picture[: -(3 * 26 + 2 * GAP), :][44:]
    used = (body != BACKGROUND).any(axis=(0, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], used.astype(int), [0]])))
    found = [body[:, a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    rows = [(panel != BACKGROUND).any(axis=(1, 2)) for panel in found]
    return [panel[row] for panel, row in zip(found, rows, strict=True)]


def test_png_is_what_pillow_reads() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(png_bytes(picture))) as image:
        assert np.array_equal(np.asarray(image), picture)


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_png_refuses_other_arrays(picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="rows, columns, 3"):
        png_bytes(picture)


def test_panels_follow_the_radiological_convention() -> None:
    axial, coronal, sagittal = panels(draw_preview(*scene()))
    for panel in (axial, coronal):
        (_, liver), (_, spleen) = center_of(panel, LIVER), center_of(panel, SPLEEN)
        assert liver < spleen  # the patient's right is on the left
    assert center_of(axial, LIVER)[0] < center_of(axial, SPLEEN)[0]  # anterior is above
    assert center_of(coronal, LIVER)[0] < coronal.shape[0] / 2  # superior is above
    organ = LIVER if (sagittal == LIVER).all(axis=2).any() else SPLEEN
    left = center_of(sagittal, organ)[1] < sagittal.shape[1] / 2
    assert left == (organ == LIVER)  # anterior is on the left


def test_panels_have_true_proportions_and_one_scale() -> None:
    axial, coronal, sagittal = panels(draw_preview(*scene()))
    # 240 mm right to left, 180 mm front to back, 200 mm up.
    scale = axial.shape[1] / 240
    shapes = [panel.shape[:2] for panel in (axial, coronal, sagittal)]
    for shape, mm in zip(shapes, [(180, 240), (200, 240), (200, 180)], strict=True):
        assert shape == pytest.approx(np.multiply(mm, scale), abs=1.5)


@pytest.mark.parametrize("codes", ["SAR", "IPL", "LSA", "PIR"])
def test_the_picture_does_not_depend_on_the_axis_order(codes: str) -> None:
    volume, labels = scene()
    turned = draw_preview(reorient(volume, codes), reorient_labels(labels, codes))
    assert np.array_equal(turned, draw_preview(volume, labels))


def test_pictures_of_odd_images() -> None:
    for shape in ((1, 60, 80), (300, 2, 2), (1, 1, 1)):
        grid = Geometry(shape, (5.0, 1.0, 1.0))
        image = Volume(np.zeros(shape, np.float32), grid)
        labels = LabelMap(np.ones(shape, np.uint8), grid, organ_table())
        assert preview_png(image, labels).startswith(b"\x89PNG")


def test_extreme_intensities_do_not_change_the_picture() -> None:
    volume, labels = scene()
    other = Volume(volume.array * np.float32(1e-6), volume.geometry)
    difference = draw_preview(other, labels).astype(int) - draw_preview(volume, labels)
    assert np.abs(difference).max() <= 1


def test_grids_must_coincide() -> None:
    volume, labels = scene()
    moved = replace(volume.geometry, origin=(5.0, 0.0, 0.0))
    with pytest.raises(GeometryError):
        draw_preview(Volume(volume.array, moved), labels)


def test_best_slice_shows_most_organs_then_the_largest_section() -> None:
    labels = np.zeros((10, 8, 8), dtype=np.uint8)
    labels[1:4, :6, :6] = 1
    labels[3:7, 7, 7] = 2
    assert best_slice(labels, 0) == 3
    labels[:] = 0
    labels[5, :2, :2] = 1
    labels[6, :4, :4] = 1
    assert best_slice(labels, 0) == 6
    assert best_slices(np.zeros((5, 7, 9), dtype=np.uint8)) == (2, 3, 4)


def test_text_is_drawn_inside_its_size_and_cut_at_the_border() -> None:
    canvas = blank(40, 120, (0, 0, 0))
    draw_text(canvas, "Rg", (4, 6), color=(255, 255, 255), scale=2.0)
    rows, columns = np.nonzero(canvas.any(axis=2))
    height, width = text_size("Rg", 2.0)
    assert rows.min() >= 4
    assert rows.max() < 4 + height + 1
    assert columns.min() >= 5
    assert columns.max() <= 6 + width
    draw_text(canvas, "long text", (30, 100), color=(255, 0, 0), shadow=True)
    draw_text(canvas, "x", (-5, -3), color=(255, 0, 0), shadow=True)
