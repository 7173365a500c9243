"""The table of parameters: their values can be changed, everything else is for reading."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import qt
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Tables import fillTable
from FlareMRSegLib.Translation import tr as _

VALUE_COLUMN = 2
CHANGED_COLOR = "#ffe2b0"


class ParameterTable:
    """Shows stages with their parameters and remembers changes.

    Signals: `changed` (): there are more or fewer changes.

    Args:
        ui: widgets of FlareMRTrainRecipe.ui.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.changed = Signal("")
        self.changes: dict[tuple[str, str], str] = {}
        self._rows: list[tuple[str, Mapping[str, Any]]] = []
        self._isFilling = False
        ui.parametersTable.connect("cellChanged(int,int)", self._onCell)

    def show(self, stages: Sequence[Mapping[str, Any]]) -> None:
        """Show stages as ``recipe show`` gives them, without changes."""
        self.changes = {}
        self._rows = [(stage["id"], p) for stage in stages for p in stage["parameters"]]
        headers = (_("Stage"), _("Parameter"), _("Value"), _("Unit"), _("Default"), _("From"))
        rows = [(stage, *cells(parameter)) for stage, parameter in self._rows]
        self._isFilling = True
        fillTable(self.ui.parametersTable, headers, rows)
        for number, (_stage, parameter) in enumerate(self._rows):
            self._prepare(number, parameter)
        self._isFilling = False
        self.changed.emit()

    def _prepare(self, row: int, parameter: Mapping[str, Any]) -> None:
        """Let only the value be edited, and explain the parameter."""
        table = self.ui.parametersTable
        for column in range(table.columnCount):
            item = table.item(row, column)
            item.setToolTip(parameter["help"] or parameter["name"])
            if column != VALUE_COLUMN:
                item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)

    def _onCell(self, row: int, column: int) -> None:
        if self._isFilling or column != VALUE_COLUMN or row >= len(self._rows):
            return
        stage, parameter = self._rows[row]
        item = self.ui.parametersTable.item(row, column)
        text = str(item.text()).strip()
        key = (stage, str(parameter["name"]))
        isChanged = text != valueText(parameter["value"])
        if isChanged:
            self.changes[key] = text
        else:
            self.changes.pop(key, None)
        self._isFilling = True
        item.setBackground(qt.QBrush(qt.QColor(CHANGED_COLOR)) if isChanged else qt.QBrush())
        self._isFilling = False
        self.changed.emit()


def cells(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    """Name, value, unit, default and origin."""
    value, default = valueText(parameter["value"]), valueText(parameter["default"])
    return (parameter["name"], value, parameter["unit"], default, parameter["origin"])


def valueText(value: Any) -> str:
    """The value as TOML has it; empty for none."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)
