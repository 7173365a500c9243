"""The tab Review: a queue of pseudo-labels to accept, reject or correct."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from FlareMRSegLib.Job import Job, JobResult
from FlareMRSegLib.Tables import colorRow, fillTable, selectedRow
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.errors import FlareMRError
from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.AddCasePanel import AddCasePanel
from FlareMRTrainLib.ReviewCommands import correctionWords, decisionWords, queueWords
from FlareMRTrainLib.ReviewScene import ReviewScene
from FlareMRTrainLib.ReviewTexts import (
    decisionText,
    decisionWord,
    objectionText,
    queueText,
    reasonsText,
)
from FlareMRTrainLib.RunList import RunList
from FlareMRTrainLib.States import COLORS
from FlareMRTrainLib.TrainSession import TrainSession

ROW_COLORS = {
    "accept": COLORS["done"],
    "reject": COLORS["failed"],
    "correct": COLORS["running"],
}


class ReviewPanel:
    """A queue of pseudo-labels to accept, reject or correct.

    Args:
        ui: widgets of FlareMRTrainReview.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.items: Sequence[Mapping[str, Any]] = ()
        self.stage = ""
        self.scene = ReviewScene()
        self.addCase = AddCasePanel(ui, session)
        self.list = RunList(session, _("Reading the review queue"), self._words, self._onRead)
        self._case = ""
        self._isDeciding = False
        self._advanceFrom = ""
        self._reload = ""
        ui.reviewStageComboBox.connect("activated(int)", self._onStage)
        ui.refreshReviewButton.connect("clicked()", self.list.read)
        ui.reviewTable.connect("itemSelectionChanged()", self._showCase)
        ui.reviewTable.connect("cellDoubleClicked(int,int)", self._onCell)
        ui.previousReviewButton.connect("clicked()", self.loadPrevious)
        ui.loadReviewButton.connect("clicked()", self.load)
        ui.nextReviewButton.connect("clicked()", self.loadNext)
        ui.editReviewButton.connect("clicked()", self.edit)
        ui.acceptReviewButton.connect("clicked()", self.accept)
        ui.rejectReviewButton.connect("clicked()", self.reject)
        ui.correctReviewButton.connect("clicked()", self.correct)
        ui.undoReviewButton.connect("clicked()", self.undo)
        session.changed.connect(self._onChanged)
        self._onRead({})

    def refresh(self, run: RunReading | None) -> None:
        """Show `run`: the tab became visible, another run was chosen, or its files changed."""
        shown = self.list.run
        if shown is not None and (run is None or run.folder != shown.folder):
            self.scene.forget()
            self._case, self.stage = "", ""
        self.list.refresh(run)
        self.addCase.refresh()

    def current(self) -> Mapping[str, Any] | None:
        """The line of the queue that is selected."""
        row = selectedRow(self.ui.reviewTable)
        return self.items[row] if 0 <= row < len(self.items) else None

    def load(self, row: int | None = None) -> bool:
        """Show a row, by default the selected one, with its labels; whether that was possible."""
        chosen = selectedRow(self.ui.reviewTable) if row is None else row
        if not 0 <= chosen < len(self.items):
            return False
        self.ui.reviewTable.selectRow(chosen)
        item = self.items[chosen]
        try:
            self.scene.show(item)
        except FlareMRError as error:
            self.session.stateText.emit(str(error))
            return False
        self._case = str(item["case"])
        self._showCase()
        return True

    def loadNext(self) -> bool:
        """Show the case below; whether there is one."""
        return self.load(selectedRow(self.ui.reviewTable) + 1)

    def loadPrevious(self) -> bool:
        """Show the case above; whether there is one."""
        return self.load(selectedRow(self.ui.reviewTable) - 1)

    def edit(self) -> None:
        """Open the labels of the selected case in the Segment Editor, loaded if needed."""
        item = self.current()
        if item is not None and (self._isLoaded(item) or self.load()):
            self.scene.edit(str(item["case"]))

    def accept(self) -> bool:
        """Note that the selected pseudo-label is right; whether the command was given."""
        return self._decide("accept")

    def reject(self) -> bool:
        """Note that the selected pseudo-label must not be used; whether the command was given."""
        return self._decide("reject")

    def undo(self) -> bool:
        """Take back the last decision about the selected case; whether the command was given."""
        return self._decide("undo")

    def correct(self) -> bool:
        """Keep the labels of the selected case as they are in the scene; whether that began."""
        item, run = self.current(), self.list.run
        if item is None or run is None or self._isDeciding or not self._isLoaded(item):
            return False
        case, note = str(item["case"]), self._note()

        def prepare(folder: Path) -> list[str]:
            labels = self.scene.export(case, folder / "corrected.nrrd")
            return correctionWords(run.folder, self.stage, case, note, labels)

        title = _("Saving the correction of {case}").format(case=case)
        return self._start(Job(title, prepare), case, "correct")

    def close(self) -> None:
        """The module is reloaded, or the scene is closed: let go of nodes and observers."""
        self.scene.forget()
        self._case = ""
        self._showCase()

    def _decide(self, kind: str) -> bool:
        item, run = self.current(), self.list.run
        if item is None or run is None or self._isDeciding:
            return False
        case = str(item["case"])
        words = decisionWords(run.folder, self.stage, kind, case, self._note())
        title = _("Noting the decision about {case}").format(case=case)
        return self._start(Job(title, lambda _folder: words), case, kind)

    def _start(self, job: Job, case: str, kind: str) -> bool:
        self._isDeciding = True
        self._showCase()

        def decided(result: JobResult) -> None:
            self._isDeciding = False
            if result.succeeded:
                self.ui.reviewNoteEdit.text = ""
                goesOn = kind != "undo" and self.ui.reviewNextCheckBox.checked
                self._advanceFrom = case if goesOn else ""
                if kind == "undo" and self._isShown(case):
                    self.scene.release(case)
                    self._reload = case
                self.list.take(result)
            self._showCase()

        self.session.start(job, decided)
        return True

    def _words(self, run: RunReading) -> list[str]:
        return queueWords(run.folder, self.stage)

    def _onRead(self, content: Mapping[str, Any]) -> None:
        self.items = content.get("items", ())
        self.stage = str(content.get("stage", ""))
        self._fillStages([str(stage) for stage in content.get("stages", ())])
        self._fillTable()
        self.ui.reviewSummaryLabel.text = queueText(self.items)
        if self._advanceFrom:
            self._advance()
        elif self._reload:
            self._loadAgain()
        self._showCase()

    def _advance(self) -> None:
        """After a decision: load the next case without one, and let go of the decided one."""
        cases = [str(item["case"]) for item in self.items]
        decided, self._advanceFrom = self._advanceFrom, ""
        start = cases.index(decided) + 1 if decided in cases else 0
        order = [*range(start, len(cases)), *range(start)]
        row = next((n for n in order if not self.items[n]["decision"]), None)
        if row is None:
            return
        self.ui.reviewTable.selectRow(row)
        if self._case == decided and self.load(row):
            self.scene.release(decided)

    def _loadAgain(self) -> None:
        """After a correction was taken back: show what holds now."""
        cases = [str(item["case"]) for item in self.items]
        case, self._reload = self._reload, ""
        if case in cases:
            self.load(cases.index(case))

    def _fillStages(self, stages: Sequence[str]) -> None:
        combo = self.ui.reviewStageComboBox
        combo.clear()
        for stage in stages:
            combo.addItem(stage, stage)
        combo.setCurrentIndex(max(combo.findData(self.stage), 0) if stages else -1)

    def _fillTable(self) -> None:
        headers = (_("Case"), _("Sequence"), _("Doubt"), _("Decision"), _("Look at"))
        rows = [
            (
                item["case"],
                item["sequence"],
                f"{item['doubt']:.2f}",
                decisionWord(item["decision"]["kind"]) if item["decision"] else "",
                reasonsText(item["objections"]),
            )
            for item in self.items
        ]
        fillTable(self.ui.reviewTable, headers, rows)
        for number, item in enumerate(self.items):
            if item["decision"]:
                colorRow(self.ui.reviewTable, number, ROW_COLORS[item["decision"]["kind"]])

    def _showCase(self) -> None:
        ui, item, row = self.ui, self.current(), selectedRow(self.ui.reviewTable)
        isFree = item is not None and not self._isDeciding
        ui.reviewCaseLabel.text = caseText(item)
        ui.loadReviewButton.enabled = item is not None
        ui.editReviewButton.enabled = item is not None
        ui.previousReviewButton.enabled = row > 0
        ui.nextReviewButton.enabled = row + 1 < len(self.items)
        ui.acceptReviewButton.enabled = isFree
        ui.rejectReviewButton.enabled = isFree
        ui.correctReviewButton.enabled = isFree and self._isLoaded(item)
        ui.undoReviewButton.enabled = isFree and bool(item["decision"])

    def _isLoaded(self, item: Mapping[str, Any]) -> bool:
        return self._isShown(str(item["case"]))

    def _isShown(self, case: str) -> bool:
        return self.scene.segmentation(case) is not None

    def _note(self) -> str:
        return str(self.ui.reviewNoteEdit.text).strip()

    def _onChanged(self) -> None:
        if self.session.parameterNode is None:  # the scene goes, and identifiers are used again
            self.close()

    def _onStage(self, _index: int) -> None:
        self.stage = str(self.ui.reviewStageComboBox.currentData)
        self.scene.forget()
        self.list.read()

    def _onCell(self, row: int, _column: int) -> None:
        self.load(row)


def caseText(item: Mapping[str, Any] | None) -> str:
    """The selected case: what was decided, and everything that speaks against it."""
    if item is None:
        return _("Select a case.")
    lines = [f"{item['case']}: {decisionText(item)}"]
    return "\n".join([*lines, *(objectionText(objection) for objection in item["objections"])])
