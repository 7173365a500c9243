"""A table of texts, written as CSV for programs and as Markdown for people."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows below a header; every row has as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """The table with commas, lines ended by a line feed."""
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([self.header, *self.rows])
        return stream.getvalue()

    def markdown(self) -> str:
        """The table with bars; columns of numbers to the right."""
        columns = [[row[n] for row in self.rows] for n in range(len(self.header))]
        rule = tuple("---:" if _are_numbers(cells) else "---" for cells in columns)
        lines = [self.header, rule, *self.rows]
        return "".join(f"| {' | '.join(map(_escaped, cells))} |\n" for cells in lines)


def number_text(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals; empty for None."""
    return "" if value is None else f"{value:.{digits}f}"


def _are_numbers(cells: list[str]) -> bool:
    """Whether all cells are numbers or empty, and not all are empty."""
    filled = [cell.replace(".", "", 1).lstrip("-") for cell in cells if cell]
    return bool(filled) and all(cell.isdecimal() for cell in filled)


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
