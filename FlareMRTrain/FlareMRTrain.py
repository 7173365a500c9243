"""Slicer module FlareMRTrain: adapts segmentation networks to MR without labels of MR.

A shell: `FlareMRTrainLib` does the work, and is imported when the widget or the logic is made, so
that Reload gets the new code and Slicer starts fast.
"""

# ruff: noqa: PT009 - Slicer's self tests are unittest test cases

import importlib.util
import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Installed, both lie beside this file; in the source tree they are elsewhere.
for package, folder in (("FlareMRCore", "."), ("FlareMRSegLib", "FlareMRSeg")):
    if importlib.util.find_spec(package) is None:
        sys.path.append(str(Path(__file__).resolve().parents[1] / folder))

PACKAGES = ("FlareMRTrainLib",)
TABS = ("Dataset", "Recipe", "Run", "Look", "Review", "Result")


class FlareMRTrain(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FlareMR Train")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["FlareMRSeg"]
        parent.contributors = ["The FlareMR contributors"]
        parent.helpText = _(
            "Makes networks for MR of your own scanners out of labeled CT and MR without labels: "
            "build a data set, choose a published recipe, watch it run, review its pseudo-labels, "
            "and use the weights in FlareMR Abdominal Organs. A run is a process of its own: it "
            "goes on when Slicer is closed, and is found again. Images never leave this computer."
        ) + (
            ' <a href="https://github.com/FlareMR/SlicerFlareMR#readme">'
            + _("Documentation")
            + "</a>"
        )
        parent.acknowledgementText = _(
            "FlareMR is research software, not a medical device. Each recipe names the publication "
            "it follows."
        )


class FlareMRTrainWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Loads the panels, and gives them the parameter node."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panels = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from FlareMRSegLib.ModuleShell import loadParts, loadWidgets, observe
        from FlareMRTrainLib.TrainPanels import TrainPanels

        self.ui = loadWidgets(self)
        self.logic = FlareMRTrainLogic()
        ui = self.ui
        tabs = (ui.datasetTab, ui.recipeTab, ui.runTab, ui.lookTab, ui.reviewTab, ui.resultTab)
        parts = loadParts(self, dict(zip(TABS, tabs, strict=True)))
        self.panels = TrainPanels(parts, ui, self.logic.session)
        observe(self)
        self.initializeParameterNode()

    def enter(self):
        """The user came to this module."""
        self.initializeParameterNode()
        if self.panels is not None:  # an instance that Reload replaced may still be called
            self.panels.enter()

    def exit(self):
        """The user went to another module."""
        if self.panels is not None:
            self.panels.exit()

    def initializeParameterNode(self):
        """Show the parameter node of the scene."""
        if self.panels is not None:
            self.panels.setParameterNode(self.logic.getParameterNode())

    def onSceneStartClose(self, _caller, _event):
        """What panels show of the scene is about to go; runs go on."""
        self.panels.setParameterNode(None)

    def onSceneChanged(self, _caller, _event):
        """A scene was closed or loaded."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onReload(self):
        """Forget the package, so that Reload imports it again."""
        from FlareMRSegLib.ModuleShell import forgetPackages

        self.cleanup()
        forgetPackages(PACKAGES)
        ScriptedLoadableModuleWidget.onReload(self)

    def cleanup(self):
        """The module is reloaded or Slicer quits: only runs of recipes go on."""
        from FlareMRSegLib.ModuleShell import letGo

        letGo(self)


class FlareMRTrainLogic(ScriptedLoadableModuleLogic):
    """The commands and runs, without widgets."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from FlareMRSegLib.ChosenPython import launch
        from FlareMRSegLib.JobRunner import JobRunner
        from FlareMRTrainLib.TrainSession import TrainSession

        self.session = TrainSession(JobRunner(launch))

    def getParameterNode(self):
        """The parameters, as saved with the scene."""
        from FlareMRTrainLib.TrainParameterNode import FlareMRTrainParameterNode

        return FlareMRTrainParameterNode(ScriptedLoadableModuleLogic.getParameterNode(self))

    def close(self):
        """End the commands; runs of recipes go on."""
        self.session.close()


class FlareMRTrainTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test, or ctest. The tests of the widgets are in Testing/slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_tabsAreThere()

    def test_tabsAreThere(self):
        """Each tab has a panel."""
        widget = slicer.modules.flaremrtrain.widgetRepresentation().self()
        self.assertEqual(tuple(widget.panels.panels), TABS)
        self.assertEqual(widget.ui.trainTabs.count, len(TABS))
