"""A table of results as a table node of the scene, with numbers as numbers."""

from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from FlareMRCore.pipeline.text_table import TextTable

KEY_ATTRIBUTE = "FlareMR.results"
"""Attribute of table nodes whose value says which table they show."""


def showTable(table: TextTable, key: str, name: str) -> Any:
    """The table node of this key, filled anew; a new one if there is none.

    Columns of numbers are numbers, where empty cells are NaN, so that plots leave them out.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLTableNode")
    found = next((n for n in nodes if n.GetAttribute(KEY_ATTRIBUTE) == key), None)
    node = found or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    node.SetAttribute(KEY_ATTRIBUTE, key)
    node.RemoveAllColumns()
    for number, title in enumerate(table.header):
        node.AddColumn(_column(title, [row[number] for row in table.rows]))
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    if selection is not None:
        selection.SetActiveTableID(node.GetID())
        slicer.app.applicationLogic().PropagateTableSelection()
    return node


def _column(title: str, cells: Sequence[str]) -> Any:
    numbers = _numbers(cells)
    array = vtk.vtkStringArray() if numbers is None else vtk.vtkDoubleArray()
    array.SetName(title)
    for value in cells if numbers is None else numbers:
        array.InsertNextValue(value)
    return array


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """The cells as numbers; None if one is no number, or all are empty."""
    try:
        found = [float(cell) if cell else float("nan") for cell in cells]
    except ValueError:
        return None
    return found if any(cells) else None
