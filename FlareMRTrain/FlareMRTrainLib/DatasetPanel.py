"""The tab Dataset: makes, checks, splits and shows a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.SceneImport import SceneCase, exportCases, sceneCases
from FlareMRTrainLib.States import COLORS
from FlareMRTrainLib.TrainCommands import JSON
from FlareMRTrainLib.TrainScene import addLabels, addVolume, showInSlices
from FlareMRTrainLib.TrainSession import TrainSession

MANIFESTS = ("Data set (*.json)",)
TABLES = ("CSV (*.csv)",)
LAYOUTS = ("auto", "flare24", "flare23", "nnunet", "lld", "plain")
SHEET_NAME = "flaremr-sheet.png"
SCENE_COLUMNS = ("case", "patient", "modality", "sequence")


class DatasetPanel:
    """Makes, checks and shows a data set.

    Args:
        ui: widgets of FlareMRTrainDataset.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.cases: Sequence[Mapping[str, Any]] = ()
        self.findings: Sequence[Mapping[str, Any]] = ()
        self.sceneCases: list[SceneCase] = []
        self.sheet: Path | None = None
        self._asked = ""
        self._shownPaths: tuple[str, str] | None = None
        self._isShowing = False
        for layout in LAYOUTS:
            ui.layoutComboBox.addItem(layout)
        for modality in ("MR", "CT"):
            ui.modalityComboBox.addItem(modality)
        self._connect()
        self._showCases()

    def refresh(self, _run: RunReading | None) -> None:
        """Show the data set of the parameter node; its files are read when it is another one."""
        node = self.session.parameterNode
        if node is None:
            return
        paths = (node.manifest, node.dataFolder)
        if paths != self._shownPaths:  # else somebody may be typing
            self._shownPaths = paths
            self._isShowing = True
            self.ui.manifestPathEdit.currentPath, self.ui.dataFolderPathEdit.currentPath = paths
            self._isShowing = False
        if node.manifest != self._asked:
            self.read()

    def importFolder(self, folder: Path | None = None) -> bool:
        """Make a data set of a folder; whether the command was given."""
        folder = folder or self.session.dialogs.openFolder(_("Import a folder of images"))
        return folder is not None and self._build(folder)

    def importCsv(self, path: Path | None = None) -> bool:
        """Make a data set of the files that a CSV file names; whether the command was given."""
        path = path or self.session.dialogs.openFile(_("Import a CSV file"), TABLES)
        return path is not None and self._build(path)

    def openManifest(self, path: Path | None = None) -> None:
        """Take a data set that was made before."""
        path = path or self.session.dialogs.openFile(_("Open a data set"), MANIFESTS)
        if path is not None and self.session.parameterNode is not None:
            self.session.parameterNode.manifest = str(path)
            self.refresh(None)

    def listScene(self) -> None:
        """Show the volumes of the scene; patient, modality and sequence can be changed there."""
        self.sceneCases = sceneCases()
        headers = (_("Case"), _("Patient"), _("Modality"), _("Sequence"), _("Labels"))
        rows = [
            (*(getattr(c, name) for name in SCENE_COLUMNS), _("yes") if c.segmentationId else "")
            for c in self.sceneCases
        ]
        self._isShowing = True
        fillTable(self.ui.sceneCasesTable, headers, rows)
        self._isShowing = False
        self.ui.importSceneButton.enabled = bool(rows)

    def importScene(self, folder: Path | None = None) -> bool:
        """Write the volumes of the scene to a folder and make a data set; whether that began."""
        cases = self.sceneCases
        folder = folder or self.session.dialogs.openFolder(_("Folder for the images"))
        if folder is None or not cases:
            return False

        def prepare(_temporary: Path) -> list[str]:
            return [*self._buildWords(exportCases(cases, folder)), JSON]

        self.session.start(Job(_("Importing volumes of the scene"), prepare), self._onBuilt)
        return True

    def read(self) -> None:
        """Ask for the cases of the data set."""
        node = self.session.parameterNode
        self._asked = node.manifest if node is not None else ""
        self.cases, self.findings, self.sheet = (), (), None
        self._showCases()
        if self._asked:
            words = ["dataset", "cases", self._asked, JSON]
            self.session.command(_("Reading the data set"), words, self._onCases)

    def check(self) -> bool:
        """Look for everything that is wrong, and draw the sheet; whether the command was given."""
        if not self._asked:
            return False
        self.sheet = Path(self._asked).with_name(SHEET_NAME)
        words = ["dataset", "check", self._asked, "--sheet", str(self.sheet), JSON]
        self.session.command(_("Checking the data set"), words, self._onChecked)
        return True

    def split(self) -> bool:
        """Split by patient as the field says, and save that; whether the command was given."""
        if not self._asked:
            return False
        shares = str(self.ui.splitSharesEdit.text).replace(",", " ").split()
        words = ["dataset", "split", self._asked, *shares]
        words += ["--seed", str(self.ui.splitSeedSpinBox.value), JSON]
        self.session.command(_("Splitting the data set"), words, self._onSplit)
        return True

    def loadCase(self, row: int | None = None) -> Any:
        """Load a case, by default the selected one, with its labels; the volume node or None."""
        row = selectedRow(self.ui.casesTable) if row is None else row
        if not 0 <= row < len(self.cases):
            return None
        case = self.cases[row]
        try:
            nodes = [
                addVolume(Path(path), f"{case['case']} {sequence}")
                for sequence, path in case["images"].items()
            ]
            if case["labels"]:
                addLabels(Path(case["labels"]), f"{case['case']} labels", nodes[0])
        except FlareMRError as error:
            self.session.stateText.emit(str(error))
            return None
        showInSlices(nodes[0])
        return nodes[0]

    def showSheet(self) -> None:
        """Open the picture of what networks will see."""
        if self.sheet is not None and self.sheet.is_file():
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.sheet)))

    def close(self) -> None:
        """Nothing is held."""

    def _connect(self) -> None:
        ui = self.ui
        ui.importFolderButton.connect("clicked()", self.importFolder)
        ui.importCsvButton.connect("clicked()", self.importCsv)
        ui.openManifestButton.connect("clicked()", self.openManifest)
        ui.listSceneButton.connect("clicked()", self.listScene)
        ui.importSceneButton.connect("clicked()", self.importScene)
        ui.checkDatasetButton.connect("clicked()", self.check)
        ui.showSheetButton.connect("clicked()", self.showSheet)
        ui.splitButton.connect("clicked()", self.split)
        ui.casesTable.connect("cellDoubleClicked(int,int)", self._onCase)
        ui.sceneCasesTable.connect("cellChanged(int,int)", self._onSceneCell)
        ui.manifestPathEdit.connect("currentPathChanged(QString)", self._onManifest)
        ui.dataFolderPathEdit.connect("currentPathChanged(QString)", self._onDataFolder)

    def _build(self, source: Path) -> bool:
        words = [*self._buildWords(source), JSON]
        self.session.command(_("Making the data set"), words, self._onBuilt)
        return True

    def _buildWords(self, source: Path) -> list[str]:
        ui = self.ui
        words = ["dataset", "build", str(source), "--layout", str(ui.layoutComboBox.currentText)]
        words += ["--modality", str(ui.modalityComboBox.currentText)]
        organs = str(ui.annotatedEdit.text).strip()
        return [*words, *(["--annotated", organs] if organs else [])]

    def _onBuilt(self, result: JobResult) -> None:
        if result.succeeded:
            self._asked = ""
            self.openManifest(Path(str(result.content["manifest"])).resolve())

    def _onCases(self, result: JobResult) -> None:
        self.cases = result.content.get("cases", ())
        self._showCases()

    def _onChecked(self, result: JobResult) -> None:
        self.findings = result.content.get("findings", ())
        self._showCases()
        checked = "findings" in result.content
        text = _("{errors} errors, {warnings} warnings.")
        errors = sum(finding["level"] == "error" for finding in self.findings)
        found = text.format(errors=errors, warnings=len(self.findings) - errors)
        self.ui.problemsLabel.text = found if checked else ""

    def _onSplit(self, result: JobResult) -> None:
        if result.succeeded:
            self.read()

    def _showCases(self) -> None:
        """Cases with their problems, and all problems."""
        headers = (_("Case"), _("Patient"), _("Modality"), _("Sequences"), _("Labels"))
        headers = (*headers, _("Organs"), _("Part"), _("Problems"))
        problems: dict[str, list[Mapping[str, Any]]] = {}
        for finding in self.findings:
            problems.setdefault(finding["case"], []).append(finding)
        rows = [caseCells(case, problems.get(case["case"], ())) for case in self.cases]
        fillTable(self.ui.casesTable, headers, rows)
        for number, case in enumerate(self.cases):
            levels = {finding["level"] for finding in problems.get(case["case"], ())}
            level = "error" if "error" in levels else "warning" if levels else ""
            if level:
                colorRow(self.ui.casesTable, number, COLORS[level])
        cells = [(f["level"], f["case"], f["text"]) for f in self.findings]
        fillTable(self.ui.problemsTable, (_("Level"), _("Case"), _("Problem")), cells)
        isThere = bool(self.cases)
        self.ui.checkDatasetButton.enabled = isThere
        self.ui.splitButton.enabled = isThere
        self.ui.showSheetButton.enabled = self.sheet is not None and self.sheet.is_file()
        text = _("{cases} cases of {patients} patients.")
        patients = len({case["patient"] for case in self.cases})
        found = text.format(cases=len(self.cases), patients=patients)
        self.ui.datasetCountLabel.text = found if isThere else ""

    def _onCase(self, row: int, _column: int) -> None:
        self.loadCase(row)

    def _onSceneCell(self, row: int, column: int) -> None:
        if not self._isShowing and column < len(SCENE_COLUMNS) and row < len(self.sceneCases):
            text = str(self.ui.sceneCasesTable.item(row, column).text()).strip()
            self.sceneCases[row] = replace(self.sceneCases[row], **{SCENE_COLUMNS[column]: text})

    def _onManifest(self, path: str) -> None:
        if not self._isShowing and (not path or Path(path).is_file()):
            node = self.session.parameterNode
            if node is not None:
                node.manifest = path

    def _onDataFolder(self, path: str) -> None:
        if not self._isShowing and self.session.parameterNode is not None:
            self.session.parameterNode.dataFolder = path


def caseCells(case: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The row of a case."""
    return (
        case["case"],
        case["patient"],
        case["modality"],
        ", ".join(case["images"]),
        case["label_source"] or "",
        ", ".join(case["annotated"]),
        case["part"],
        " ".join(finding["text"] for finding in findings),
    )
