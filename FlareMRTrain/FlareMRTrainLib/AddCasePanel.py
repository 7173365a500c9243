"""Part of the tab Review: a corrected segmentation joins a data set, if the user wants that."""

from pathlib import Path
from typing import Any

from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.MrmlBridge import MrmlBridge
from FlareMRSegLib.SegmentationExport import exportSegmentation
from FlareMRSegLib.Translation import tr as _

from FlareMRTrainLib.ReviewCommands import addCaseWords
from FlareMRTrainLib.TrainSession import TrainSession


class AddCasePanel:
    """Adds a segmentation of the scene and its image to a manifest; nothing happens by itself.

    Args:
        ui: widgets of FlareMRTrainReview.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self._isAdding = False
        ui.addCaseButton.connect("clicked()", self.add)
        ui.addCaseManifestEdit.connect("currentPathChanged(QString)", self._onPath)
        ui.addCaseSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onNode)
        self.refresh()

    def reason(self) -> str:
        """Why nothing can be added, as a sentence; empty if it can."""
        node = self.ui.addCaseSelector.currentNode()
        if self._isAdding:
            return _("A case is being added.")
        if node is None:
            return _("Choose a corrected segmentation.")
        problem = MrmlBridge().inputProblem(self._image(node))
        if problem:
            return _("The image of the segmentation: {problem}").format(problem=problem)
        if not self.ui.addCaseManifestEdit.currentPath:
            return _("Choose the data set that gets the case.")
        return ""

    def add(self) -> bool:
        """Add the chosen segmentation; whether the command was given."""
        if self.reason():
            return False
        node = self.ui.addCaseSelector.currentNode()
        image = self._image(node)
        manifest = Path(self.ui.addCaseManifestEdit.currentPath)
        facts = {
            "case": "".join(c if c.isalnum() or c in "-._" else "_" for c in image.GetName()),
            "patient": str(self.ui.addCasePatientEdit.text).strip(),
            "sequence": str(self.ui.addCaseSequenceEdit.text).strip(),
        }

        def prepare(folder: Path) -> list[str]:
            file = folder / "image.nrrd"
            prepared = MrmlBridge().prepareInput(image, file)
            if prepared.notes:
                self.session.stateText.emit(" ".join(prepared.notes))
            labels = exportSegmentation(node, folder / "labels.nrrd")[0]
            return addCaseWords(file, labels, manifest, facts)

        self._isAdding = True
        self.refresh()
        self.session.start(Job(_("Adding the case"), prepare), self._onAdded)
        return True

    def offer(self, segmentationNode: Any) -> None:
        """Choose a segmentation; the user decides whether it is added."""
        self.ui.addCaseGroup.collapsed = False
        self.ui.addCaseSelector.setCurrentNode(segmentationNode)
        self.refresh()

    def refresh(self) -> None:
        """Show whether something can be added."""
        reason = self.reason()
        self.ui.addCaseButton.enabled = not reason
        self.ui.addCaseButton.toolTip = reason or _("Add the segmentation and its image.")

    def _image(self, segmentationNode: Any) -> Any:
        role = segmentationNode.GetReferenceImageGeometryReferenceRole()
        return segmentationNode.GetNodeReference(role)

    def _onAdded(self, _result: JobResult) -> None:
        self._isAdding = False
        self.refresh()

    def _onPath(self, _path: str) -> None:
        self.refresh()

    def _onNode(self, _node: Any) -> None:
        self.refresh()
