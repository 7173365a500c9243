"""Curves of a training as plot nodes of the scene: a table, a series for each curve, a chart."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import vtk

STEP = "step"
NOT_DRAWN = (STEP, "seconds", "rate")
"""Columns that are no losses and no scores."""

COLORS = ((0.12, 0.47, 0.71), (0.84, 0.15, 0.16), (0.17, 0.63, 0.17), (0.58, 0.40, 0.74))
CHART_ATTRIBUTE = "FlareMR.chart"
"""Attribute of the nodes of one chart, whose value is the key of the chart."""


class CurvePlot:
    """The chart of one training in the scene; showing it again changes the same nodes.

    Args:
        key: of the chart, unique in the scene.
        title: of the chart.
    """

    def __init__(self, key: str, title: str) -> None:
        self.key = key
        self.title = title

    def show(self, curves: Mapping[str, Sequence[float]]) -> Any:
        """The chart node, with the curves as they are now; None without a curve."""
        drawn = [name for name in curves if name not in NOT_DRAWN]
        if STEP not in curves or not drawn:
            return None
        tableNode = self._node("vtkMRMLTableNode", "table")
        tableNode.SetAndObserveTable(table({name: curves[name] for name in (STEP, *drawn)}))
        chart = self._node("vtkMRMLPlotChartNode", "chart")
        chart.SetTitle(self.title)
        chart.SetXAxisTitle(STEP)
        for number, name in enumerate(drawn):
            series = self._series(name, tableNode, COLORS[number % len(COLORS)])
            # Lines break where values are missing, as they are between validations.
            isSparse = any(math.isnan(value) for value in curves[name])
            style = series.MarkerStyleCircle if isSparse else series.MarkerStyleNone
            series.SetMarkerStyle(style)
            if not chart.HasPlotSeriesNodeID(series.GetID()):
                chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return chart

    def isShown(self) -> bool:
        """Whether the chart is in the scene."""
        return any(node.IsA("vtkMRMLPlotChartNode") for node in self._nodes())

    def remove(self) -> None:
        """Take the nodes out of the scene."""
        for node in self._nodes():
            slicer.mrmlScene.RemoveNode(node)

    def _series(self, name: str, tableNode: Any, color: tuple[float, float, float]) -> Any:
        series = self._node("vtkMRMLPlotSeriesNode", name)
        if series.GetTableNode() is not tableNode:
            series.SetName(name)
            series.SetAndObserveTableNodeID(tableNode.GetID())
            series.SetXColumnName(STEP)
            series.SetYColumnName(name)
            series.SetPlotType(series.PlotTypeScatter)
            series.SetColor(*color)
        return series

    def _node(self, className: str, part: str) -> Any:
        """The node of this part of the chart; a new one if there is none."""
        value = f"{self.key}/{part}"
        for node in self._nodes():
            if node.IsA(className) and node.GetAttribute(CHART_ATTRIBUTE) == value:
                return node
        node = slicer.mrmlScene.AddNewNodeByClass(className, f"{self.title} {part}")
        node.SetAttribute(CHART_ATTRIBUTE, value)
        return node

    def _nodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLNode")
        start = f"{self.key}/"
        return [n for n in nodes if (n.GetAttribute(CHART_ATTRIBUTE) or "").startswith(start)]


def table(columns: Mapping[str, Sequence[float]]) -> Any:
    """A vtkTable of columns of numbers."""
    result = vtk.vtkTable()
    for name, values in columns.items():
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        for value in values:
            column.InsertNextValue(value)
        result.AddColumn(column)
    return result


def openChart(chart: Any) -> None:
    """Show the chart in a layout with a plot view."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)
