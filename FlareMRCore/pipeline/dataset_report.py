"""A sheet of pictures of what a network will see of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.dataset import Case, Dataset
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import FlareMRError
from FlareMRCore.imaging.drawing import Picture, blank, draw_text, paste
from FlareMRCore.imaging.intensity import foreground_statistics, standardize
from FlareMRCore.imaging.orientation import CANONICAL, orient_array
from FlareMRCore.imaging.png import png_bytes
from FlareMRCore.imaging.resampling import resize, resize_labels
from FlareMRCore.pipeline.preview import BACKGROUND, FAINT, write_png
from FlareMRCore.pipeline.slices import best_slices
from FlareMRCore.progress import Reporter

TILE_ROWS = 190
TILE_COLUMNS = 250
CAPTION = 22
GAP = 8
ACROSS = 5
MAX_TILES = 60
SHOWN = (-2.5, 2.5)
"""Standardized intensities drawn as black and white."""
TINT = 0.45
MISTAKE = (230, 90, 80)


def write_contact_sheet(path: Path, dataset: Dataset, reporter: Reporter) -> int:
    """Write one tile for each image, as PNG, and return how many there are.

    A tile shows the axial slice with most organs (the middle one without labels), turned and
    standardized as networks get it, organs tinted, patient's right on the left. Of more than
    `MAX_TILES` images evenly spread ones are shown. Images that cannot be read give red tiles.
    """
    entries = [(case, sequence) for case in dataset.cases for sequence in case.images]
    step = max(1, -(-len(entries) // MAX_TILES))
    chosen = entries[::step]
    tiles = []
    for number, (case, sequence) in enumerate(chosen):
        reporter.advance("sheet", number, len(chosen))
        tiles.append(_tile(dataset, case, sequence))
    reporter.advance("sheet", len(chosen), len(chosen))
    write_png(path, png_bytes(_sheet(tiles)))
    return len(tiles)


def _tile(dataset: Dataset, case: Case, sequence: str) -> Picture:
    tile = blank(TILE_ROWS + CAPTION, TILE_COLUMNS, BACKGROUND)
    caption, color = f"{case.case_id} {sequence}", FAINT
    try:
        picture = _section(dataset, case, sequence)
    except FlareMRError as error:
        caption, color = f"{case.case_id}: {error.code}", MISTAKE
    else:
        rows, columns, _ = picture.shape
        paste(tile, picture, (TILE_ROWS - rows) // 2, (TILE_COLUMNS - columns) // 2)
    draw_text(tile, caption[-38:], (TILE_ROWS + 6, 2), color=color, scale=1.0)
    return tile


def _section(dataset: Dataset, case: Case, sequence: str) -> Picture:
    """The slice as a picture that fits the tile."""
    volume = read_volume(dataset.path_of(case.images[sequence]))
    image, geometry = orient_array(volume.array, volume.geometry, CANONICAL)
    labels = np.zeros(image.shape, dtype=np.uint8)
    if case.label_map is not None:
        found = read_label_map(dataset.path_of(case.label_map))
        turned, _ = orient_array(found.array, found.geometry, CANONICAL)
        if turned.shape == image.shape:
            labels = turned
    index = best_slices(labels)[0]
    _, height_mm, width_mm = geometry.extent_mm
    scale = min(TILE_ROWS / height_mm, TILE_COLUMNS / width_mm)
    shape = (1, max(1, int(height_mm * scale)), max(1, int(width_mm * scale)))
    values = standardize(image[index : index + 1], foreground_statistics(volume.array))
    gray = _gray(resize(values, shape, antialias=True)[0])
    return _tinted(gray, resize_labels(labels[index : index + 1], shape)[0])[::-1, ::-1]


def _gray(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = SHOWN
    scaled: NDArray[np.float32] = np.clip((values - low) / (high - low), 0, 1) * np.float32(255)
    return scaled


def _tinted(gray: NDArray[np.float32], labels: NDArray[np.uint8]) -> Picture:
    picture = np.repeat(gray[..., None], 3, axis=2)
    for label in organ_table():
        inside = labels == label.value
        color = np.asarray(label.color, dtype=np.float32)
        picture[inside] = (1 - TINT) * picture[inside] + TINT * color
    return np.round(picture).astype(np.uint8)


def _sheet(tiles: Sequence[Picture]) -> Picture:
    rows = max(1, -(-len(tiles) // ACROSS))
    columns = max(1, min(ACROSS, len(tiles)))
    high, wide = TILE_ROWS + CAPTION + GAP, TILE_COLUMNS + GAP
    sheet = blank(rows * high + GAP, columns * wide + GAP, BACKGROUND)
    for n, tile in enumerate(tiles):
        paste(sheet, tile, GAP + n // ACROSS * high, GAP + n % ACROSS * wide)
    return sheet
