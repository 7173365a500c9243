"""A canvas for pictures: text, filled boxes, images. Letters come from `resources/glyphs.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Color = tuple[int, int, int]
Picture = NDArray[np.uint8]
FloatPicture = NDArray[np.float32]

GLYPH_ROWS = 9
GLYPH_COLUMNS = 5
ADVANCE = 6
"""Columns from one letter to the next, in glyph pixels."""


def blank(rows: int, columns: int, color: Color) -> Picture:
    """Canvas (rows, columns, 3) of one color."""
    canvas = np.empty((rows, columns, 3), dtype=np.uint8)
    canvas[:] = color
    return canvas


def paste(canvas: Picture, picture: Picture, row: int, column: int) -> None:
    """Put `picture` with its upper left corner at (row, column); it must fit."""
    rows, columns, _ = picture.shape
    canvas[row : row + rows, column : column + columns] = picture


def fill_box(canvas: Picture, box: tuple[int, int, int, int], color: Color) -> None:
    """Fill the box (row, column, rows, columns)."""
    row, column, rows, columns = box
    canvas[row : row + rows, column : column + columns] = color


def text_size(text: str, scale: float) -> tuple[int, int]:
    """Rows and columns that `text` takes."""
    columns = max(0, len(text) * ADVANCE - 1)
    return round(GLYPH_ROWS * scale), round(columns * scale)


def draw_text(
    canvas: Picture,
    text: str,
    at: tuple[int, int],
    *,
    color: Color,
    scale: float = 2.0,
    shadow: bool = False,
) -> None:
    """Write `text` with its upper left corner at `at` (row, column); what leaves is cut.

    Args:
        canvas: picture to change.
        text: letters without a glyph become blanks.
        at: row and column.
        color: of the letters.
        scale: pixels per glyph pixel.
        shadow: darken what is around the letters, for text on images.
    """
    ink = _ink(text, scale)
    if shadow:
        halo = np.clip(ndimage.grey_dilation(np.pad(ink, 2), size=(5, 5)), 0, 1) * 0.6
        _blend(canvas, halo, (at[0] - 2, at[1] - 2), (0, 0, 0))
    _blend(canvas, ink, at, color)


def _ink(text: str, scale: float) -> FloatPicture:
    """Coverage 0 to 1 of each pixel; corners are rounded by interpolating the bitmap."""
    bitmap = np.zeros((GLYPH_ROWS, len(text) * ADVANCE + 1), dtype=np.float32)
    for n, letter in enumerate(text):
        glyph = _glyphs().get(letter)
        if glyph is not None:
            start = n * ADVANCE
            bitmap[:, start : start + GLYPH_COLUMNS] = glyph
    rows, columns = round(GLYPH_ROWS * scale), round(bitmap.shape[1] * scale)
    grid = np.mgrid[0:rows, 0:columns]
    smooth = ndimage.map_coordinates(bitmap, (grid + 0.5) / scale - 0.5, order=1, mode="constant")
    ink: FloatPicture = np.clip(2.2 * smooth - 0.55, 0, 1).astype(np.float32)
    return ink


def _blend(canvas: Picture, alpha: FloatPicture, at: tuple[int, int], color: Color) -> None:
    row, column = at
    top, left = max(0, -row), max(0, -column)
    part = alpha[top:, left:]
    region = canvas[row + top :, column + left :][: part.shape[0], : part.shape[1]]
    part = part[: region.shape[0], : region.shape[1], None]
    mixed = region * (1 - part) + np.asarray(color, dtype=np.float32) * part
    region[:] = np.round(mixed).astype(np.uint8)


@cache
def _glyphs() -> Mapping[str, FloatPicture]:
    text = files("FlareMRCore").joinpath("resources/glyphs.txt").read_text(encoding="utf-8")
    glyphs = {}
    for line in text.splitlines():
        letter, *rows = line.split(" ")
        glyph = np.zeros((GLYPH_ROWS, GLYPH_COLUMNS), dtype=np.float32)
        for n, row in enumerate(rows):
            glyph[n] = [pixel == "#" for pixel in row]
        glyphs[letter] = glyph
    return glyphs
