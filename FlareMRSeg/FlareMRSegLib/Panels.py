"""Makes the panels, gives them what they need, and does what error messages propose."""

from collections.abc import Callable, Mapping
from typing import Any

from FlareMRSegLib import ErrorMessages
from FlareMRSegLib.BatchPanel import BatchPanel
from FlareMRSegLib.ChosenPython import launch
from FlareMRSegLib.DependencyInstaller import TORCH, DependencyInstaller
from FlareMRSegLib.Dialogs import Dialogs
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.ParameterNode import FlareMRSegParameterNode, optionsOf
from FlareMRSegLib.ResultsPanel import ResultsPanel
from FlareMRSegLib.RunView import RunView
from FlareMRSegLib.SegmentationLogic import SegmentationLogic
from FlareMRSegLib.SegmentPanel import SegmentPanel
from FlareMRSegLib.SetupPanel import SetupPanel
from FlareMRSegLib.WeightsPanel import WeightsPanel

BATCH_TAB, WEIGHTS_TAB, SETUP_TAB = 1, 2, 3


class Panels:
    """All panels of the module.

    Args:
        parts: widgets of each .ui file by the name of its tab.
        logic: segments; closed by whoever made it.
        tabs: the tab widget.
        dialogs: asks the user; replaced in tests.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        logic: SegmentationLogic,
        tabs: Any,
        dialogs: Dialogs | None = None,
    ) -> None:
        self.tabs = tabs
        self.logic = logic
        self.dialogs = dialogs or Dialogs()
        self.runners = [JobRunner(launch), JobRunner(launch)]
        segmentUi = parts["Segment"]
        self.view = RunView(segmentUi, logic.runner)
        self.results = ResultsPanel(segmentUi, logic.bridge, self.dialogs, self._smoothing)
        self.weights = WeightsPanel(parts["Weights"], self.runners[0], self.dialogs)
        self.setup = SetupPanel(
            parts["Setup"], DependencyInstaller(self.runners[1], self.dialogs.confirm)
        )
        self.segment = SegmentPanel(
            segmentUi,
            logic,
            view=self.view,
            results=self.results,
            accepted=self.weights.accepted,
            weightsReason=self.weights.reason,
        )
        self.batch = BatchPanel(parts["Batch"], logic, self.dialogs, self._batchOptions)
        self._isEntered = False
        self._connect()

    def setParameterNode(self, node: FlareMRSegParameterNode | None) -> None:
        """Show another parameter node, or none while there is no scene."""
        self.segment.setParameterNode(node)
        if node is None:
            self.batch.onSceneClosed()
        self.batch.update()

    def enter(self) -> None:
        """The user came to the module; the first time, ask for weights and devices."""
        if not self._isEntered:
            self._isEntered = True
            self.weights.refresh()
            self.logic.requestDevices()
            self.segment.update()

    def close(self) -> None:
        """Stop the jobs of the panels."""
        self.segment.setParameterNode(None)
        self.setup.installer.close()
        for runner in self.runners:
            runner.close()

    def act(self, action: str) -> None:
        """Do what the button of an error message proposes."""
        actions = self._programActions() | self._choiceActions()
        if action in actions:
            actions[action]()

    def _connect(self) -> None:
        self.view.actionWanted.connect(self.act)
        self.weights.changed.connect(self.segment.setWeights)
        self.setup.weightsWanted.connect(self._openWeights)
        self.tabs.connect("currentChanged(int)", self._onTab)

    def _onTab(self, index: int) -> None:
        if index == SETUP_TAB and not self.setup.installer.rows and not self.setup.isChecking:
            self.setup.refresh()
        if index == BATCH_TAB:
            self.batch.update()

    def _programActions(self) -> dict[str, Callable[[], Any]]:
        return {
            ErrorMessages.COPY_REPORT: self.setup.copyReport,
            ErrorMessages.RETRY: self.segment.apply,
            ErrorMessages.OPEN_SETUP: lambda: self._openTab(SETUP_TAB),
            ErrorMessages.INSTALL_TORCH: lambda: self.setup.install(TORCH),
            ErrorMessages.INSTALL_PACKAGES: self.setup.installPackages,
            ErrorMessages.OPEN_WEIGHTS: self._openWeights,
            ErrorMessages.DOWNLOAD_WEIGHTS: self._downloadWeights,
            ErrorMessages.OPEN_LOG: self._openLog,
        }

    def _choiceActions(self) -> dict[str, Callable[[], Any]]:
        return {
            ErrorMessages.USE_FAST_MODE: lambda: self._applyWith(mode="fast"),
            ErrorMessages.USE_AUTO_DEVICE: lambda: self._applyWith(device="auto"),
            ErrorMessages.ALLOW_CT: lambda: self._applyWith(allowComputedTomography=True),
            ErrorMessages.CHOOSE_INPUT: self._chooseInput,
            ErrorMessages.CHOOSE_OUTPUT: lambda: self._choose(outputSegmentation=None),
            ErrorMessages.CHOOSE_ORGANS: lambda: self.segment.setOrgans(None),
        }

    def _choose(self, **values: Any) -> None:
        node = self.segment.parameterNode
        if node is not None:
            for name, value in values.items():
                setattr(node, name, value)

    def _applyWith(self, **values: Any) -> None:
        self._choose(**values)
        self.segment.apply()

    def _chooseInput(self) -> None:
        self.segment.ui.inputsButton.collapsed = False
        self.segment.ui.inputVolumeSelector.setFocus()

    def _openTab(self, index: int) -> None:
        self.tabs.setCurrentIndex(index)

    def _openWeights(self) -> None:
        self._openTab(WEIGHTS_TAB)

    def _downloadWeights(self) -> None:
        self._openWeights()
        node = self.segment.parameterNode
        wanted = node.weights if node is not None else ""
        default = next((w["id"] for w in self.weights.weights if w.get("default")), "")
        if wanted or default:
            self.weights.fetch(wanted or default)

    def _openLog(self) -> None:
        self.segment.ui.logButton.collapsed = False

    def _smoothing(self) -> float:
        node = self.segment.parameterNode
        return node.surfaceSmoothing if node is not None else 0.0

    def _batchOptions(self) -> Any:
        """Options for the batch; None if they cannot be used or the license is not accepted."""
        node = self.segment.parameterNode
        if node is None or not self.weights.accepted(node.weights):
            return None
        return optionsOf(node)
