"""Slicer module FlareMRTrain: tells how to train networks; the training runs outside Slicer."""

# ruff: noqa: PT009 - Slicer's self tests are unittest test cases

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

COMMANDS = (
    "PythonSlicer -m FlareMRCore train pack GROUPS.toml --data IMAGES --spacing 3 -o PACK",
    "PythonSlicer -m FlareMRCore train fit CONFIG.toml --pack PACK -o RUN",
    "PythonSlicer -m FlareMRCore train export RUN/weights.pt --id ID --title TITLE -o MODEL",
    "PythonSlicer -m FlareMRCore weights import MODEL",
)
"""Commands of the engine that exist; a test parses them."""


class FlareMRTrain(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FlareMR Train")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The FlareMR contributors"]
        parent.helpText = _(
            "Networks for FlareMR Seg are trained from CT, MR or label maps with the command line "
            "of FlareMRCore. This module lists the commands; it does not start a training."
        ) + (
            ' <a href="https://github.com/FlareMR/SlicerFlareMR#readme">'
            + _("Documentation")
            + "</a>"
        )
        parent.acknowledgementText = _("FlareMR is research software, not a medical device.")


class FlareMRTrainWidget(ScriptedLoadableModuleWidget):
    """Shows the commands and copies them."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareMRTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.ui.trainLabel.text = _(
            "Training takes hours to days and is done with the command line, not in Slicer: it "
            "goes on when Slicer is closed, and runs on a computer with a GPU that needs no "
            "Slicer. Weights trained there are used in FlareMR Seg after Import in its tab Weights."
        )
        self.ui.commandsTextEdit.plainText = FlareMRTrainLogic().commands()
        self.ui.copyCommandsButton.connect("clicked()", self.copyCommands)

    def copyCommands(self):
        """Put the commands on the clipboard."""
        slicer.app.clipboard().setText(FlareMRTrainLogic().commands())


class FlareMRTrainLogic(ScriptedLoadableModuleLogic):
    """Knows the commands."""

    def commands(self):
        """The commands, one on each line."""
        return "\n".join(COMMANDS)


class FlareMRTrainTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_commandsAreShownAndCopied()

    def test_commandsAreShownAndCopied(self):
        """What is shown is what is copied."""
        widget = slicer.modules.flaremrtrain.widgetRepresentation().self()
        widget.copyCommands()
        self.assertEqual(slicer.app.clipboard().text(), widget.ui.commandsTextEdit.plainText)
        self.assertIn("FlareMRCore train", widget.ui.commandsTextEdit.plainText)
