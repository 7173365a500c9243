"""Slicer module FlareMRSeg: segments 13 abdominal organs in MR volumes.

A shell: `FlareMRSegLib` does the work, and is imported when the widget or the logic is made, so
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

# Installed, FlareMRCore lies beside this file; in the source tree it is one folder up.
if importlib.util.find_spec("FlareMRCore") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))

PACKAGES = ("FlareMRSegLib", "FlareMRCore")
TABS = ("Segment", "Batch", "Weights", "Setup")


class FlareMRSeg(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FlareMR Abdominal Organs")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Volumes", "Markups", "SubjectHierarchy"]
        parent.contributors = ["The FlareMR contributors"]
        parent.helpText = _(
            "Finds 13 abdominal organs in MR images of any sequence: liver, kidneys, spleen, "
            "pancreas, aorta, inferior vena cava, adrenal glands, gallbladder, esophagus, stomach "
            "and duodenum. It is made for MR, not for CT. Images never leave this computer."
        ) + (
            ' <a href="https://github.com/FlareMR/SlicerFlareMR#readme">'
            + _("Documentation")
            + "</a>"
        )
        parent.acknowledgementText = _(
            "FlareMR is research software, not a medical device. Label values and organs are those "
            "of the FLARE challenges."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        """Offer the sample data and the terminology, once all modules are there."""
        from FlareMRSegLib.SampleVolume import registerSample
        from FlareMRSegLib.Terminology import registerTerminology

        registerTerminology()
        registerSample(self.resourcePath("Icons/FlareMRSeg.png"))


class FlareMRSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Loads the panels, gives them the parameter node and ends what runs when they go."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panels = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from FlareMRSegLib.ModuleShell import loadParts, loadWidgets, observe
        from FlareMRSegLib.Panels import Panels

        self.ui = loadWidgets(self)
        self.logic = FlareMRSegLogic()
        tabs = (self.ui.segmentTab, self.ui.batchTab, self.ui.weightsTab, self.ui.setupTab)
        parts = loadParts(self, dict(zip(TABS, tabs, strict=True)))
        self.panels = Panels(parts, self.logic.segmentation, self.ui.tabs)
        observe(self)
        self.initializeParameterNode()

    def enter(self):
        """The user came to this module."""
        self.initializeParameterNode()
        if self.panels is not None:  # an instance that Reload replaced may still be called
            self.panels.enter()

    def initializeParameterNode(self):
        """Show the parameter node of the scene; a new one takes the volume that is shown."""
        if self.panels is not None:
            self.panels.setParameterNode(self.logic.getParameterNode())

    def onSceneStartClose(self, _caller, _event):
        """End what runs: its volume is about to go."""
        self.panels.setParameterNode(None)
        self.logic.segmentation.runner.cancelAll()

    def onSceneChanged(self, _caller, _event):
        """A scene was closed or loaded."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onReload(self):
        """Forget the packages, so that Reload imports them again."""
        from FlareMRSegLib.ModuleShell import forgetPackages

        self.cleanup()
        forgetPackages(PACKAGES)
        ScriptedLoadableModuleWidget.onReload(self)

    def cleanup(self):
        """The module is reloaded or Slicer quits: leave no process and no observer behind."""
        from FlareMRSegLib.ModuleShell import letGo

        letGo(self)


class FlareMRSegLogic(ScriptedLoadableModuleLogic):
    """Segmentation for scripts; no widget is needed."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from FlareMRSegLib.ChosenPython import launch
        from FlareMRSegLib.Expectations import Expectations
        from FlareMRSegLib.JobRunner import JobRunner
        from FlareMRSegLib.SegmentationLogic import SegmentationLogic
        from FlareMRSegLib.Settings import readSetting, writeSetting

        self.segmentation = SegmentationLogic(
            JobRunner(launch),
            tools=JobRunner(launch),
            expectations=Expectations(
                lambda: readSetting("Measured"), lambda text: writeSetting("Measured", text)
            ),
        )

    def getParameterNode(self):
        """The parameters, as saved with the scene."""
        from FlareMRSegLib.ParameterNode import FlareMRSegParameterNode

        return FlareMRSegParameterNode(ScriptedLoadableModuleLogic.getParameterNode(self))

    def segmentVolume(
        self, inputVolume, outputSegmentation=None, options=None, wait=True, roi=None
    ):
        """Segment `inputVolume`; see `SegmentationLogic.segmentVolume`."""
        return self.segmentation.segmentVolume(
            inputVolume, outputSegmentation, options, wait=wait, roi=roi
        )

    def close(self):
        """End what runs."""
        self.segmentation.close()


class FlareMRSegTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test, or ctest. The tests of the widgets are in Testing/slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_segmentSample()

    def test_segmentSample(self):
        """The sample becomes a segmentation with a liver, on the grid of the sample."""
        from FlareMRSegLib.Options import SegmentationOptions
        from FlareMRSegLib.SampleVolume import downloadSample

        self.delayDisplay("Making the sample")
        (volume,) = downloadSample()
        self.delayDisplay("Segmenting it")
        logic = FlareMRSegLogic()
        try:
            options = SegmentationOptions(mode="fast", device="cpu", show3d=False)
            result = logic.segmentVolume(volume, options=options)
        finally:
            logic.close()
        self.check(result, volume)
        self.delayDisplay("Test passed")

    def check(self, result, volume):
        """The result has a liver of plausible size; nothing is tested where torch is missing."""
        if result.error is not None and result.error.code == "dependency.torch":
            self.skipTest("torch is not installed")
        self.assertIsNone(result.error)
        node = slicer.mrmlScene.GetNodeByID(result.value.segmentationNodeId)
        role = node.GetReferenceImageGeometryReferenceRole()
        self.assertEqual(node.GetNodeReferenceID(role), volume.GetID())
        volumes = {organ["id"]: organ["volume_ml"] for organ in result.value.record["organs"]}
        self.assertGreater(volumes["liver"], 300)
