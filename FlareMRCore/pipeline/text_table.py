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
        """The table with bars; the first column to the left, the others to the right."""
        rule = ("---", *("---:" for _ in self.header[1:]))
        lines = [self.header, rule, *self.rows]
        return "".join(f"| {' | '.join(map(_escaped, cells))} |\n" for cells in lines)


def number_text(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals; empty for None."""
    return "" if value is None else f"{value:.{digits}f}"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
