import math
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.training import curves
from FlareMRCore.training.curves import curve_log, curve_picture, read_curves


def _write(folder: Path, steps: range, *, start: int = 0) -> None:
    with curve_log(folder, start, writes=True) as log:
        assert log is not None
        for step in steps:
            log.add({"step": step, "loss": 1 / step, "case": "a b", "organs": 2.0 * step})
        log.draw()


def test_rows_come_back_and_a_killed_run_s_rows_are_cut(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 9))
    with (tmp_path / "curve.csv").open("a") as file:
        file.write("9,0.1")  # killed while writing
    _write(tmp_path, range(6, 8), start=5)
    found = read_curves(tmp_path / "curve.csv")
    assert found["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found["organs"].tolist() == [2, 4, 6, 8, 10, 12, 14]
    assert found["loss"] == pytest.approx(1 / np.arange(1, 8), rel=1e-5)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_of_other_columns_is_continued(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("step,loss,extra\n1,0.5,7\n", encoding="utf-8")
    _write(tmp_path, range(2, 4), start=1)
    found = read_curves(tmp_path / "curve.csv")
    assert found["step"].tolist() == [1, 2, 3]
    assert math.isnan(found["extra"][2])


def test_only_the_writer_writes(tmp_path: Path) -> None:
    with curve_log(tmp_path, 0, writes=False) as log:
        assert log is None
    assert read_curves(tmp_path / "curve.csv") == {}


def test_the_picture_shows_a_fall_from_upper_left_to_lower_right() -> None:
    steps = np.arange(1.0, 1001)
    picture = curve_picture({"step": steps, "loss": np.linspace(3, 1, 1000), "rate": steps})
    rows, columns = np.nonzero((picture == curves.COLORS[0]).all(-1))
    plot = (columns >= curves.MARGIN) & (columns < curves.COLUMNS - curves.MARGIN) & (rows > 30)
    first, last = rows[plot][columns[plot].argmin()], rows[plot][columns[plot].argmax()]
    assert first < curves.MARGIN + 5
    assert last > curves.ROWS - curves.MARGIN - 8
    assert not (picture == curves.COLORS[1]).all(-1).any()


def test_an_empty_curve_has_a_picture_too() -> None:
    assert curve_picture({}).shape == (curves.ROWS, curves.COLUMNS, 3)


def test_tensorboard_is_told_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = _Board()
    monkeypatch.setattr(curves, "_board", lambda folder: board)
    _write(tmp_path, range(1, 3))
    assert board.scalars == [("loss", 1.0, 1), ("organs", 2.0, 1), ("loss", 0.5, 2),
                             ("organs", 4.0, 2)]  # fmt: skip
    assert board.is_closed


class _Board:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.is_closed = False

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.is_closed = True
