"""Filling and reading of table widgets."""

from collections.abc import Sequence
from typing import Any

import qt


def fillTable(table: Any, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show `rows` below `headers`; what was selected stays selected if the row still exists."""
    row = selectedRow(table)
    wasBlocked = table.blockSignals(True)
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.setRowCount(len(rows))
    for n, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = qt.QTableWidgetItem(str(text))
            item.setToolTip(str(text))
            table.setItem(n, column, item)
    table.resizeColumnsToContents()
    if 0 <= row < len(rows):
        table.selectRow(row)
    table.blockSignals(wasBlocked)


def selectedRow(table: Any) -> int:
    """Number of the selected row; -1 if none is."""
    rows = selectedRows(table)
    return rows[0] if rows else -1


def selectedRows(table: Any) -> list[int]:
    """Numbers of the selected rows, in order."""
    return sorted({index.row() for index in table.selectionModel().selectedRows()})


def colorRow(table: Any, row: int, color: str) -> None:
    """Give a row a background color, e.g. ``"#ffe0b0"``, with dark text so that it can be read."""
    for column in range(table.columnCount):
        item = table.item(row, column)
        if item is not None:
            item.setBackground(qt.QBrush(qt.QColor(color)))
            item.setForeground(qt.QBrush(qt.QColor("#202020")))
