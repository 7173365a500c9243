"""The tab Segment: what to segment and how, bound to the parameter node; starts the runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
import slicer
import vtk

from FlareMRCore.data.labels import organ_table
from FlareMRSegLib.Job import JobResult
from FlareMRSegLib.JobCalls import JobCalls
from FlareMRSegLib.Options import MODES
from FlareMRSegLib.ParameterNode import (
    ALL_ORGANS,
    FlareMRSegParameterNode,
    optionsOf,
    organsOf,
)
from FlareMRSegLib.Regions import addVolumeRegion
from FlareMRSegLib.ResultsPanel import ResultsPanel
from FlareMRSegLib.RunView import RunView
from FlareMRSegLib.SampleVolume import sampleJob
from FlareMRSegLib.SegmentationLogic import DeviceInfo, SegmentationLogic, SegmentationOutcome
from FlareMRSegLib.SequenceBridge import framesOf
from FlareMRSegLib.Translation import tr as _


class SegmentPanel:
    """Copies the user's choices into the parameter node and starts the logic.

    Args:
        ui: widgets of FlareMRSegSegment.ui.
        logic: segments.
        view: shows the run.
        results: shows the result.
        accepted: whether the user accepts the license of the named weights.
        weightsReason: why no weights can be used yet; empty if they can.
    """

    def __init__(
        self,
        ui: Any,
        logic: SegmentationLogic,
        *,
        view: RunView,
        results: ResultsPanel,
        accepted: Callable[[str], bool],
        weightsReason: Callable[[], str],
    ) -> None:
        self.ui = ui
        self.logic = logic
        self.view = view
        self.results = results
        self.parameterNode: FlareMRSegParameterNode | None = None
        self._accepted = accepted
        self._weightsReason = weightsReason
        self._calls = JobCalls(logic.runner)
        self._tools = JobCalls(logic.tools)
        self._tags: tuple[int, int] | None = None
        self._shownNodeId = ""
        self._combos = {"mode": ui.modeComboBox, "weights": ui.weightsComboBox}
        self._combos["device"] = ui.deviceComboBox
        self._fillChoices()
        self._connect()
        self.setParameterNode(None)

    def setParameterNode(self, node: FlareMRSegParameterNode | None) -> None:
        """Show and change another parameter node, or none while there is no scene."""
        if self.parameterNode is not None and self._tags is not None:
            self.parameterNode.disconnectGui(self._tags[0])
            self.parameterNode.RemoveObserver(self._tags[1])
        self.parameterNode, self._tags, self._shownNodeId = node, None, ""
        if node is not None:
            if node.inputVolume is None:
                node.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            modified = vtk.vtkCommand.ModifiedEvent
            gui = node.connectParametersToGui(self._boundWidgets())
            self._tags = (gui, node.AddObserver(modified, self._onModified))
        self.update()

    def apply(self) -> bool:
        """Start a run, or queue it behind the one that runs; whether it was."""
        node = self.parameterNode
        if node is None or self.reasons() or not self._accepted(node.weights):
            return False
        self.view.hideError()
        self._calls.start(self._job(node), self._onDone)
        self.update()
        return True

    def cancel(self) -> None:
        """Stop what runs and what waits."""
        self.logic.runner.cancelAll()

    def reasons(self) -> tuple[str, ...]:
        """Why Apply is disabled, as sentences."""
        node = self.parameterNode
        if node is None:
            return (_("The scene is being closed."),)
        found = self.logic.reasonsNotToRun(
            node.inputVolume, node.outputSegmentation, optionsOf(node)
        )
        waiting = self._weightsReason()
        return (*found, waiting) if waiting else found

    def loadSample(self) -> None:
        """Make the sample and select it."""
        self.ui.sampleButton.enabled = False
        self._tools.start(sampleJob(), self._onSample)

    def setOrgans(self, organs: Sequence[str] | None) -> None:
        """Select organs by identifier; None for all."""
        if self.parameterNode is not None:
            self.parameterNode.organs = ALL_ORGANS if organs is None else ",".join(organs)

    def setWeights(self, weights: Sequence[Mapping[str, Any]]) -> None:
        """Offer these weights; entries as the verb ``weights list`` gives them."""
        choices = [(_("Default"), "")]
        choices += [(f"{facts['title']} {facts['version']}", facts["id"]) for facts in weights]
        self._fillCombo("weights", choices)
        self.update()

    def setDevices(self, devices: Sequence[DeviceInfo]) -> None:
        """Offer these devices."""
        choices = [(_("Automatic"), "auto")]
        self._fillCombo("device", choices + [(device.label, device.name) for device in devices])

    def update(self) -> None:
        """Show the parameter node and what follows from it."""
        node, ui = self.parameterNode, self.ui
        reasons = self.reasons()
        ui.applyButton.enabled = not reasons
        ui.applyButton.toolTip = reasons[0] if reasons else _("Start the segmentation.")
        ui.reasonLabel.text = " ".join(reasons)
        ui.reasonLabel.visible = bool(reasons)
        ui.cancelButton.enabled = self.logic.runner.isRunning()
        if node is None:
            self.results.show(None)
            return
        for name, combo in self._combos.items():
            self._selectData(combo, getattr(node, name))
        self._showOrgans()
        frames = framesOf(node.inputVolume)
        ui.allFramesCheckBox.enabled = frames is not None and len(frames) > 1
        ui.drawRegionButton.enabled = node.inputVolume is not None
        ui.lastRegionButton.enabled = self.results.node() is not None
        ui.modeLabel.text = self.logic.expectation(optionsOf(node), node.inputVolume).text
        self._showResult(node.outputSegmentation)

    def _job(self, node: FlareMRSegParameterNode) -> Any:
        frames = framesOf(node.inputVolume)
        if node.allFrames and frames is not None:
            return self.logic.sequenceJob(node.inputVolume, optionsOf(node))
        return self.logic.volumeJob(
            node.inputVolume, node.outputSegmentation, optionsOf(node), roi=node.regionOfInterest
        )

    def _boundWidgets(self) -> dict[str, Any]:
        """Widgets that carry the name of a parameter, by that name."""
        named = ((w.property("SlicerParameterName"), w) for w in vars(self.ui).values())
        return {name: widget for name, widget in named if name}

    def _connect(self) -> None:
        ui, runner = self.ui, self.logic.runner
        ui.applyButton.connect("clicked()", self.apply)
        ui.cancelButton.connect("clicked()", self.cancel)
        ui.sampleButton.connect("clicked()", self.loadSample)
        ui.allOrgansButton.connect("clicked()", self._onAllOrgans)
        ui.noOrgansButton.connect("clicked()", self._onNoOrgans)
        ui.organsList.connect("itemChanged(QListWidgetItem*)", self._onOrgan)
        ui.drawRegionButton.connect("clicked()", self._onDrawRegion)
        ui.lastRegionButton.connect("clicked()", self._onLastRegion)
        ui.refreshDevicesButton.connect("clicked()", self.logic.requestDevices)
        ui.modeComboBox.connect("activated(int)", self._onCombo)
        ui.weightsComboBox.connect("activated(int)", self._onCombo)
        ui.deviceComboBox.connect("activated(int)", self._onCombo)
        self.logic.devicesChanged.connect(self.setDevices)
        runner.started.connect(self._onRunnerChanged)
        runner.finished.connect(self._onRunnerChanged)

    def _fillChoices(self) -> None:
        titles = {"fast": _("Fast"), "standard": _("Standard"), "accurate": _("Accurate")}
        self._fillCombo("mode", [(titles.get(mode, mode), mode) for mode in MODES])
        self._fillCombo("weights", [(_("Default"), "")])
        self._fillCombo("device", [(_("Automatic"), "auto")])
        wasBlocked = self.ui.organsList.blockSignals(True)
        for number, label in enumerate(organ_table()):
            self.ui.organsList.addItem(label.name)
            item = self.ui.organsList.item(number)
            item.setFlags(qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsEnabled)
            item.setCheckState(qt.Qt.Checked)
        self.ui.organsList.blockSignals(wasBlocked)

    def _fillCombo(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        combo = self._combos[name]
        combo.clear()
        for title, value in choices:
            combo.addItem(title, value)
        if self.parameterNode is not None:
            self._selectData(combo, getattr(self.parameterNode, name))

    def _selectData(self, combo: Any, value: str) -> None:
        """A value that is not on offer is shown as it is, so that the scene does not lose it."""
        index = combo.findData(value)
        if index < 0:
            combo.addItem(value, value)
            index = combo.count - 1
        combo.setCurrentIndex(index)

    def _showOrgans(self) -> None:
        if self.parameterNode is None:
            return
        chosen = organsOf(self.parameterNode)
        wasBlocked = self.ui.organsList.blockSignals(True)
        for number, label in enumerate(organ_table()):
            isChosen = chosen is None or label.id in chosen
            state = qt.Qt.Checked if isChosen else qt.Qt.Unchecked
            self.ui.organsList.item(number).setCheckState(state)
        self.ui.organsList.blockSignals(wasBlocked)

    def _showResult(self, segmentationNode: Any) -> None:
        nodeId = segmentationNode.GetID() if segmentationNode is not None else ""
        if nodeId != self._shownNodeId:
            self._shownNodeId = nodeId
            self.results.show(segmentationNode)

    def _onModified(self, _caller: Any, _event: Any) -> None:
        self.update()

    def _onRunnerChanged(self, *_values: Any) -> None:
        self.ui.cancelButton.enabled = self.logic.runner.isRunning()

    def _onCombo(self, _index: int) -> None:
        if self.parameterNode is not None:
            for name, combo in self._combos.items():
                setattr(self.parameterNode, name, str(combo.currentData))

    def _onAllOrgans(self) -> None:
        self.setOrgans(None)

    def _onNoOrgans(self) -> None:
        self.setOrgans(())

    def _onOrgan(self, _item: Any) -> None:
        checked = [
            label.id
            for number, label in enumerate(organ_table())
            if self.ui.organsList.item(number).checkState() == qt.Qt.Checked
        ]
        self.setOrgans(None if len(checked) == len(organ_table()) else checked)

    def _onDrawRegion(self) -> None:
        if self.parameterNode is not None and self.parameterNode.inputVolume is not None:
            self.parameterNode.regionOfInterest = addVolumeRegion(self.parameterNode.inputVolume)

    def _onLastRegion(self) -> None:
        node = self.results.node()
        if self.parameterNode is not None and node is not None:
            self.parameterNode.regionOfInterest = self.logic.bridge.roiAroundResult(node)

    def _onSample(self, result: JobResult) -> None:
        self.ui.sampleButton.enabled = True
        if result.error is not None:
            self.view.showError(result.error)
        elif result.succeeded and self.parameterNode is not None:
            self.parameterNode.inputVolume = result.value
            self.parameterNode.outputSegmentation = None

    def _onDone(self, result: JobResult) -> None:
        outcome = result.value
        if self.parameterNode is not None and isinstance(outcome, SegmentationOutcome):
            for note in outcome.notes:
                self.view.log(f"note: {note}")
            self._shownNodeId = ""
            node = slicer.mrmlScene.GetNodeByID(outcome.segmentationNodeId)
            self.parameterNode.outputSegmentation = node
        self.update()
