"""The section Results: the table of organs, what to look at first, and where to take the result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRSegLib.Dialogs import Dialogs
from FlareMRSegLib.MrmlBridge import MrmlBridge
from FlareMRSegLib.ResultTable import OrganRow, ResultTable
from FlareMRSegLib.SegmentationExport import (
    FORMATS,
    STL,
    canExportDicom,
    exportDicom,
    exportSegmentation,
    formatTitles,
)
from FlareMRSegLib.SegmentEditing import openSegmentEditor
from FlareMRSegLib.Tables import colorRow, fillTable
from FlareMRSegLib.TrainModule import offerTrainingCase
from FlareMRSegLib.Translation import tr as _

DOUBTFUL_COLOR = "#ffe2b0"


class ResultsPanel:
    """Shows the result in a segmentation node, also after its scene was saved and loaded.

    Args:
        ui: widgets of FlareMRSegSegment.ui.
        bridge: knows the record of a segmentation and makes its surfaces.
        dialogs: asks for files; replaced in tests.
        smoothing: gives the smoothing of surfaces, 0 to 1.
    """

    def __init__(
        self, ui: Any, bridge: MrmlBridge, dialogs: Dialogs, smoothing: Callable[[], float]
    ) -> None:
        self.ui = ui
        self.dialogs = dialogs
        self.table: ResultTable | None = None
        self._bridge = bridge
        self._smoothing = smoothing
        self._nodeId = ""
        self._review: tuple[OrganRow, ...] = ()
        for suffix in FORMATS:
            ui.exportComboBox.addItem(formatTitles()[suffix], suffix)
        self._connect()
        self.show(None)

    def show(self, segmentationNode: Any) -> None:
        """Show the result in `segmentationNode`; nothing if it holds none of ours."""
        record = self._bridge.recordOf(segmentationNode)
        self._nodeId = segmentationNode.GetID() if segmentationNode and record else ""
        self.table = ResultTable.fromRecord(record) if record else None
        self._review = self.table.reviewFirst() if self.table else ()
        self.ui.resultsButton.enabled = record is not None
        self.ui.resultsButton.collapsed = record is None
        self.ui.summaryLabel.text = summaryOf(record) if record else ""
        self._fillTable()
        self._fillReview()
        self._showDicom()

    def node(self) -> Any:
        """The node that is shown; None if there is none, or if it was removed."""
        return slicer.mrmlScene.GetNodeByID(self._nodeId) if self._nodeId else None

    def jumpTo(self, organ: str) -> bool:
        """Center the slice views on an organ; False if the result has none."""
        node = self.node()
        position = self._bridge.reviewPosition(node, organ) if node else None
        if position is None:
            return False
        slicer.modules.markups.logic().JumpSlicesToLocation(*position, True)
        return True

    def copyTable(self) -> None:
        """Put the table on the clipboard."""
        if self.table is not None:
            slicer.app.clipboard().setText(self.table.toText())

    def saveTable(self, path: Path | None = None) -> None:
        """Write the table to a CSV file, by default where the user chooses."""
        node = self.node()
        if self.table is None or node is None:
            return
        path = path or self.dialogs.saveFile(
            _("Save table"), f"{node.GetName()}.csv", ("CSV (*.csv)",)
        )
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The table was not saved.")):
                write_text_atomically(path, self.table.toCsv())

    def addTableNode(self) -> Any:
        """The table as a node of the scene, one for each segmentation."""
        node = self.node()
        if self.table is None or node is None:
            return None
        name = _("{name} table").format(name=node.GetName())
        known = slicer.mrmlScene.GetFirstNode(name, "vtkMRMLTableNode")
        return self.table.toTableNode(slicer.mrmlScene, name, known)

    def updateSurfaces(self) -> None:
        """Make the surfaces again and show them."""
        node = self.node()
        if node is not None:
            with slicer.util.tryWithErrorDisplay(_("No surfaces could be made."), waitCursor=True):
                self._bridge.show3d(node, visible=True, smoothing=self._smoothing())

    def editSegments(self) -> None:
        """Open the result in the Segment Editor, with the image it was made from."""
        node = self.node()
        if node is None:
            return
        role = node.GetReferenceImageGeometryReferenceRole()
        openSegmentEditor(node, node.GetNodeReference(role))

    def offerTrainingCase(self) -> None:
        """Open the module that trains, where the result can be added to a data set."""
        node = self.node()
        if node is not None:
            offerTrainingCase(node)

    def export(self, path: Path | None = None) -> None:
        """Write the result in the chosen format, by default where the user chooses."""
        node, suffix = self.node(), str(self.ui.exportComboBox.currentData)
        if node is None:
            return
        path = path or self._exportPath(node.GetName(), suffix)
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The export failed."), waitCursor=True):
                exportSegmentation(node, path, suffix)

    def exportDicom(self, folder: Path | None = None) -> None:
        """Write DICOM SEG, by default into a folder that the user chooses."""
        node = self.node()
        folder = folder or (self.dialogs.openFolder(_("Folder for DICOM SEG")) if node else None)
        if node is not None and folder is not None:
            with slicer.util.tryWithErrorDisplay(_("The export failed."), waitCursor=True):
                exportDicom(node, folder)

    def _connect(self) -> None:
        ui = self.ui
        ui.resultTable.connect("cellDoubleClicked(int,int)", self._onCell)
        ui.reviewList.connect("itemClicked(QListWidgetItem*)", self._onReview)
        ui.copyTableButton.connect("clicked()", self.copyTable)
        ui.saveTableButton.connect("clicked()", self.saveTable)
        ui.sceneTableButton.connect("clicked()", self.addTableNode)
        ui.surfacesButton.connect("clicked()", self.updateSurfaces)
        ui.editButton.connect("clicked()", self.editSegments)
        ui.trainingCaseButton.connect("clicked()", self.offerTrainingCase)
        ui.exportButton.connect("clicked()", self.export)
        ui.dicomButton.connect("clicked()", self.exportDicom)

    def _fillTable(self) -> None:
        rows = self.table.rows if self.table else ()
        headers = self.table.headers() if self.table else ()
        cells = [self.table.cells(row) for row in rows] if self.table else []
        fillTable(self.ui.resultTable, headers, cells)
        for number, row in enumerate(rows):
            if row.reasons:
                colorRow(self.ui.resultTable, number, DOUBTFUL_COLOR)

    def _fillReview(self) -> None:
        self.ui.reviewList.clear()
        for row in self._review:
            self.ui.reviewList.addItem(f"{row.name}: {' '.join(row.reasons)}")
        self.ui.reviewList.visible = bool(self._review)
        self.ui.reviewLabel.text = (
            _("Review first:") if self._review else _("No organ looks doubtful; look anyway.")
        )

    def _showDicom(self) -> None:
        isThere = canExportDicom()
        self.ui.dicomButton.enabled = isThere
        self.ui.dicomLabel.text = (
            "" if isThere else _("Needs the extension QuantitativeReporting (Extensions Manager).")
        )

    def _onCell(self, row: int, _column: int) -> None:
        if self.table is not None and row < len(self.table.rows):
            self.jumpTo(self.table.rows[row].id)

    def _onReview(self, _item: Any) -> None:
        row = self.ui.reviewList.currentRow
        if 0 <= row < len(self._review):
            self.jumpTo(self._review[row].id)

    def _exportPath(self, name: str, suffix: str) -> Path | None:
        if suffix == STL:
            return self.dialogs.openFolder(_("Folder for the surfaces"))
        filters = (f"{formatTitles()[suffix]}",)
        path = self.dialogs.saveFile(_("Export"), f"{name}{suffix}", filters)
        if path is None or path.name.lower().endswith(suffix):
            return path
        return path.with_name(path.name + suffix)


def summaryOf(record: dict[str, Any]) -> str:
    """How the result was made, in a sentence or two."""
    report = record.get("report", {})
    text = _("Weights {weights}, mode {mode}, on {device} in {seconds:.0f} s.").format(
        weights=f"{report.get('weights_id', '?')} {report.get('weights_version', '')}".strip(),
        mode=report.get("mode", "?"),
        device=report.get("device", "?"),
        seconds=sum(report.get("seconds", {}).values()),
    )
    return " ".join([text, *record.get("warnings", ())])
