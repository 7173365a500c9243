"""The picture of a result: axial, coronal and sagittal overlays at true aspect, with a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.atomic_file import write_atomically
from FlareMRCore.data.labels import Label
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import GeometryError
from FlareMRCore.imaging.drawing import (
    FloatPicture,
    Picture,
    blank,
    draw_text,
    fill_box,
    paste,
    text_size,
)
from FlareMRCore.imaging.orientation import CANONICAL, orient_array
from FlareMRCore.imaging.png import png_bytes
from FlareMRCore.pipeline.slices import best_slices

BACKGROUND = (17, 20, 24)
TEXT = (226, 230, 235)
FAINT = (150, 158, 168)
GAP = 14
PANELS_WIDTH = 1380
"""Pixels that the three panels take side by side, if the volume is not unusually long."""
MAX_PANEL_HEIGHT = 620
MIN_PANEL_SIDE = 48
LEGEND_ROW = 26
FILL = 0.38
"""Share of the organ's color inside its outline."""
WINDOW_PERCENTILES = (1.0, 99.6)
SAMPLE_VOX = 2_000_000


@dataclass(frozen=True, slots=True)
class View:
    """One of the three directions in an array of axes (S, A, R).

    Attributes:
        name: written above the panel.
        axis: array axis that the viewer looks along.
        letters: patient sides at the left, right, top and bottom of the panel.
    """

    name: str
    axis: int
    letters: tuple[str, str, str, str]


VIEWS = (
    View("axial", 0, ("R", "L", "A", "P")),
    View("coronal", 1, ("R", "L", "S", "I")),
    View("sagittal", 2, ("A", "P", "S", "I")),
)
"""Radiological convention: the patient's right is on the viewer's left, anterior to the left."""


def write_preview(path: Path, volume: Volume, label_map: LabelMap) -> None:
    """Write the picture of `draw_preview` as PNG, atomically."""
    write_png(path, preview_png(volume, label_map))


def write_png(path: Path, content: bytes) -> None:
    """Write the bytes of a PNG file, atomically."""

    def write(stream: BinaryIO) -> None:
        stream.write(content)

    write_atomically(path, write)


def preview_png(volume: Volume, label_map: LabelMap) -> bytes:
    """The picture of `draw_preview` as the content of a PNG file."""
    return png_bytes(draw_preview(volume, label_map))


def draw_preview(volume: Volume, label_map: LabelMap) -> Picture:
    """Picture (rows, columns, 3) of the slices that show most organs, and the legend below.

    Raises:
        GeometryError: the label map lies on another grid.
    """
    require_common_grid(volume, label_map)
    labels, _ = orient_array(label_map.array, label_map.geometry, CANONICAL)
    positions = tuple(zip(VIEWS, best_slices(labels), strict=True))
    return compose(section_panels(volume, label_map, positions), legend(label_map))


def require_common_grid(volume: Volume, label_map: LabelMap) -> None:
    """Nothing, if the label map lies on the grid of the image.

    Raises:
        GeometryError: it lies on another one.
    """
    if not volume.geometry.coincides(label_map.geometry, tolerance_mm=0.1):
        raise GeometryError(
            f"The image {volume.geometry.shape} and the labels {label_map.geometry.shape} do not "
            "share a grid.",
            code="geometry.mismatch",
        )


def section_panels(
    volume: Volume, label_map: LabelMap, positions: Sequence[tuple[View, int]]
) -> list[tuple[str, Picture]]:
    """Titles and overlays (rows, columns, 3) of slices, all at one scale in mm.

    Args:
        volume: image.
        label_map: on the same grid.
        positions: direction, and index of the slice in the array of axes (S, A, R).
    """
    image, geometry = orient_array(volume.array, volume.geometry, CANONICAL)
    labels, _ = orient_array(label_map.array, label_map.geometry, CANONICAL)
    window = _window(image)
    scale = _pixels_per_mm(geometry.extent_mm)
    names = {label.value: label for label in label_map.labels}
    panels = []
    for view, index in positions:
        across = [n for n in range(3) if n != view.axis]
        extent = [geometry.extent_mm[n] for n in across]
        rows, columns = (max(MIN_PANEL_SIDE, round(mm * scale)) for mm in extent)
        section = np.take(image, index, view.axis)[::-1, ::-1]
        mask = np.take(labels, index, view.axis)[::-1, ::-1]
        panel = _overlay(_gray(section, window, (rows, columns)), mask, names)
        _annotate(panel, view)
        panels.append((f"{view.name} {index + 1}/{image.shape[view.axis]}", panel))
    return panels


def _window(image: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white level, from the voxels that are not constant padding."""
    step = max(1, round((image.size / SAMPLE_VOX) ** (1 / 3)))
    values = image[::step, ::step, ::step]
    shown = values[values > values.min()]
    if not shown.size:
        return float(values.min()), float(values.min()) + 1.0
    low, high = np.percentile(shown, WINDOW_PERCENTILES)
    # A constant image is black; the step must not be lost in the rounding of `low`.
    return float(low), float(high if high > low else low + max(1.0, abs(low)))


def _pixels_per_mm(extent_mm: tuple[float, float, float]) -> float:
    """One scale for the three panels, so that organs have the same size in each."""
    depth, height, width = extent_mm
    return min(PANELS_WIDTH / (2 * width + height), MAX_PANEL_HEIGHT / max(depth, height))


def _gray(
    section: NDArray[np.float32], window: tuple[float, float], shape: tuple[int, int]
) -> FloatPicture:
    """The section as (rows, columns, 3), 0 to 255, interpolated to `shape`."""
    low, high = window
    gray = np.clip((section.astype(np.float64) - low) / (high - low), 0, 1) * 255
    return np.repeat(_enlarged(gray.astype(np.float32), shape)[..., None], 3, axis=2)


def _enlarged(section: FloatPicture, shape: tuple[int, int]) -> FloatPicture:
    """Linear interpolation, edge-aligned; borders are repeated."""
    axes = [
        (np.arange(new) + 0.5) * old / new - 0.5
        for new, old in zip(shape, section.shape, strict=True)
    ]
    grid = np.meshgrid(*axes, indexing="ij")
    result: FloatPicture = ndimage.map_coordinates(section, grid, order=1, mode="nearest")
    return result


def _overlay(gray: FloatPicture, mask: NDArray[np.uint8], names: Mapping[int, Label]) -> Picture:
    """Organs tinted and outlined; outlines are interpolated, so thick slices look smooth."""
    shape = (gray.shape[0], gray.shape[1])
    enlarged = _enlarged_labels(mask, shape)
    picture = gray.copy()
    for value, label in names.items():
        inside = enlarged == value
        if not inside.any():
            continue
        color = np.asarray(label.color, dtype=np.float32)
        edge = inside & ~ndimage.binary_erosion(inside, iterations=2, border_value=1)
        picture[inside] = (1 - FILL) * picture[inside] + FILL * color
        picture[edge] = color
    drawn = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    for value in names:
        _number(drawn, enlarged == value, str(value))
    return drawn


def _enlarged_labels(mask: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Label with the largest interpolated share at each pixel."""
    best = np.zeros(shape, dtype=np.uint8)
    share = np.full(shape, -1.0, dtype=np.float32)
    for value in np.unique(mask):
        part = _enlarged((mask == value).astype(np.float32), shape)
        larger = part > share
        best[larger] = value
        share[larger] = part[larger]
    return best


def _number(picture: Picture, inside: NDArray[np.bool_], text: str) -> None:
    """Write the label value at the innermost point of the largest part, if it fits."""
    if not inside.any():
        return
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    rows, columns = text_size(text, 1.6)
    if depth.max() < 7:
        return
    at = (int(row) - round(rows * 7 / 18), int(column) - columns // 2)
    draw_text(picture, text, at, color=(255, 255, 255), scale=1.6, shadow=True)


def _annotate(panel: Picture, view: View) -> None:
    """Letters of the patient sides at the middle of the four borders."""
    rows, columns, _ = panel.shape
    height, width = text_size("R", 2.0)
    places = (
        (rows // 2 - height // 2, 6),
        (rows // 2 - height // 2, columns - width - 6),
        (5, columns // 2 - width // 2),
        (rows - height + 1, columns // 2 - width // 2),
    )
    for letter, at in zip(view.letters, places, strict=True):
        draw_text(panel, letter, at, color=(255, 214, 102), scale=2.0, shadow=True)


def compose(panels: Sequence[tuple[str, Picture]], key: Picture) -> Picture:
    """Panels side by side, bottoms of unequal height left blank, the key below."""
    title = 30
    height = max(panel.shape[0] for _, panel in panels)
    across = sum(panel.shape[1] for _, panel in panels) + GAP * (len(panels) + 1)
    width = max(across, key.shape[1] + 2 * GAP)
    canvas = blank(GAP + title + height + GAP + key.shape[0] + GAP, width, BACKGROUND)
    column = GAP
    for name, panel in panels:
        draw_text(canvas, name, (GAP, column), color=FAINT, scale=2.0)
        top = GAP + title + (height - panel.shape[0]) // 2
        paste(canvas, panel, top, column)
        column += panel.shape[1] + GAP
    paste(canvas, key, GAP + title + height + GAP, GAP)
    return canvas


def legend(label_map: LabelMap) -> Picture:
    """Color, value and name of every organ of the table; those not found are faint."""
    found = set(np.flatnonzero(np.bincount(label_map.array.ravel(), minlength=256)))
    labels = list(label_map.labels)
    longest = max((len(label.name) for label in labels), default=1)
    cell = 62 + text_size("m" * (longest + 3), 1.6)[1]
    across = max(1, (PANELS_WIDTH + 2 * GAP) // cell)
    rows = -(-len(labels) // across)
    key = blank(max(1, rows) * LEGEND_ROW, cell * across, BACKGROUND)
    for n, label in enumerate(labels):
        top, left = n // across * LEGEND_ROW, n % across * cell
        present = label.value in found
        fill_box(key, (top + 3, left, 16, 16), label.color if present else (60, 65, 72))
        color = TEXT if present else (105, 112, 122)
        draw_text(
            key, f"{label.value:>2} {label.name}", (top + 4, left + 24), color=color, scale=1.6
        )
    return key
