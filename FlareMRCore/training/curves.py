"""The course of a training: curve.csv always, curve.png always, TensorBoard where installed."""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.atomic_file import write_atomically, write_text_atomically
from FlareMRCore.imaging.drawing import blank, draw_text, fill_box
from FlareMRCore.imaging.png import png_bytes

CURVE_NAME = "curve.csv"
PICTURE_NAME = "curve.png"
NOT_DRAWN = ("step", "case", "seconds", "rate")
COLORS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14))
ROWS, COLUMNS, MARGIN = 360, 640, 48

Row = Mapping[str, float | int | str]


@dataclass(slots=True)
class CurveLog:
    """An open log of one training.

    Attributes:
        folder: receives curve.csv and curve.png.
        board: TensorBoard's writer, or None.
    """

    folder: Path
    board: Any = None

    def add(self, row: Row) -> None:
        """Append a row; its "step" is the number of finished steps."""
        path = self.folder / CURVE_NAME
        columns = _columns(path) or list(row)
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow({key: _text(value) for key, value in row.items()})
        for key, value in row.items():
            if self.board is not None and key != "step" and not isinstance(value, str):
                self.board.add_scalar(key, value, row["step"])

    def draw(self) -> None:
        """Write curve.png of what curve.csv holds."""
        picture = curve_picture(read_curves(self.folder / CURVE_NAME))
        write_atomically(self.folder / PICTURE_NAME, lambda file: _write(file, picture))


@contextmanager
def curve_log(folder: Path, step: int, *, writes: bool) -> Iterator[CurveLog | None]:
    """Open log of a training that has finished `step` steps; None where nothing is written.

    Rows of later steps, which a killed run left behind, are cut off.
    """
    if not writes:
        yield None
        return
    _cut(folder / CURVE_NAME, step)
    board = _board(folder)
    try:
        yield CurveLog(folder, board)
    finally:
        if board is not None:
            board.close()


def read_curves(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of numbers of a curve.csv by name, equally long, NaN where there is none.

    Empty for a file that is missing or has no rows.
    """
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in (rows[0] if rows else {}) if name != "case"]
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def curve_picture(curves: Mapping[str, NDArray[np.float64]]) -> NDArray[np.uint8]:
    """The losses over the steps as an RGB picture; smoothed, with their range and names."""
    picture = blank(ROWS, COLUMNS, (255, 255, 255))
    drawn = {
        name: _smooth(_filled(values)) for name, values in curves.items() if name not in NOT_DRAWN
    }
    values = np.concatenate([*drawn.values(), np.zeros(0)])
    values = values[np.isfinite(values)]
    if not len(values):
        draw_text(picture, "no steps yet", (ROWS // 2, MARGIN), color=(90, 90, 90))
        return picture
    low, high = float(values.min()), float(values.max())
    _draw_axes(picture, (low, high), (int(curves["step"][0]), int(curves["step"][-1])))
    for number, (name, curve) in enumerate(drawn.items()):
        color = COLORS[number % len(COLORS)]
        _draw_curve(picture, curve, (low, high), color)
        draw_text(picture, name, (6 + 18 * number, COLUMNS - 150), color=color, scale=1.5)
    return picture


def _draw_axes(
    picture: NDArray[np.uint8], values: tuple[float, float], steps: tuple[int, int]
) -> None:
    gray = (150, 150, 150)
    bottom, height = ROWS - MARGIN, ROWS - 2 * MARGIN
    fill_box(picture, (MARGIN, MARGIN, height, 1), gray)
    fill_box(picture, (bottom, MARGIN, 1, COLUMNS - 2 * MARGIN), gray)
    for row, value in ((MARGIN - 6, values[1]), (bottom - 6, values[0])):
        draw_text(picture, f"{value:.3g}", (row, 2), color=(60, 60, 60), scale=1.3)
    for column, step in ((MARGIN, steps[0]), (COLUMNS - MARGIN - 40, steps[1])):
        draw_text(picture, str(step), (bottom + 8, column), color=(60, 60, 60), scale=1.3)


def _draw_curve(
    picture: NDArray[np.uint8],
    curve: NDArray[np.float64],
    span: tuple[float, float],
    color: tuple[int, int, int],
) -> None:
    """One vertical stroke per column, from the column's value to the next one's."""
    width, height = COLUMNS - 2 * MARGIN, ROWS - 2 * MARGIN
    places = np.linspace(0, len(curve) - 1, width)
    shown = np.interp(places, np.arange(len(curve)), np.nan_to_num(curve, nan=span[0]))
    share = (shown - span[0]) / max(span[1] - span[0], 1e-12)
    rows = np.round(ROWS - MARGIN - share * height).astype(int)
    for column in range(width):
        first, second = rows[column], rows[min(column + 1, width - 1)]
        top, size = min(first, second), abs(first - second) + 2
        fill_box(picture, (top, MARGIN + column, size, 1), color)


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with those that are missing, between validations, on straight lines."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    return np.interp(np.arange(len(values)), known, values[known])


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a sixtieth of the curve around each value; shorter windows at the ends."""
    radius = len(values) // 120
    if radius == 0:
        return values
    sums = np.concatenate(([0.0], np.cumsum(np.nan_to_num(values))))
    place = np.arange(len(values))
    low, high = np.maximum(0, place - radius), np.minimum(len(values), place + radius + 1)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _cut(path: Path, step: int) -> None:
    """Leave out rows after `step`, and a last row that a kill cut short."""
    if not path.exists():
        return
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    commas = header.count(",")
    kept = [
        line
        for line in lines
        if line.count(",") == commas and line.split(",")[0].isdigit() and _step(line) <= step
    ]
    if len(kept) < len(lines):
        write_text_atomically(path, "\n".join([header, *kept]) + "\n")


def _step(line: str) -> int:
    return int(line.split(",")[0])


def _text(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(file: Any, picture: NDArray[np.uint8]) -> None:
    file.write(png_bytes(picture))


def _board(folder: Path) -> Any:
    """TensorBoard's writer if the package is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
