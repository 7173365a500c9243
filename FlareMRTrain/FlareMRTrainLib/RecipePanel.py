"""The tab Recipe: chooses a recipe, shows and changes its parameters, asks what it costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from FlareMRSegLib.Job import JobResult
from FlareMRSegLib.Tables import colorRow, fillTable
from FlareMRSegLib.Translation import tr as _

from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.ParameterTable import ParameterTable
from FlareMRTrainLib.States import COLORS, stateWord
from FlareMRTrainLib.TrainCommands import JSON, dryRunWords, editWords, recipeWords, statusWords
from FlareMRTrainLib.TrainSession import TrainSession

FILES = ("Recipe (*.toml)",)


class RecipePanel:
    """Chooses a recipe, shows and changes its parameters.

    Args:
        ui: widgets of FlareMRTrainRecipe.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session
        self.recipes: list[Mapping[str, Any]] = []
        self.info: Mapping[str, Any] | None = None
        self.states: dict[str, Mapping[str, Any]] = {}
        self.table = ParameterTable(ui)
        self._asked: tuple[str, ...] = ()
        self._askedPlace: tuple[str, ...] = ()
        self._isListed = False
        self._isChoosing = False
        self.table.changed.connect(self._showButtons)
        self._connect()
        self._showButtons()

    def refresh(self, _run: RunReading | None) -> None:
        """Show the recipe of the parameter node; ask for the list of recipes the first time."""
        if self._isChoosing:
            return
        if not self._isListed:
            self._isListed = True
            self.session.command(_("Listing recipes"), ["recipe", "list", JSON], self._onList)
        self._showChoice()
        if self._choice() != self._asked:
            self.show()
        elif self._place() != self._askedPlace:
            self.askStates()

    def show(self) -> None:
        """Ask for the parameters and the states of the chosen recipe; changes are forgotten."""
        self._asked = self._choice()
        node = self.session.parameterNode
        if node is None or not node.recipe:
            self._forget()
            return
        words = ["recipe", "show", *recipeWords(node), JSON]
        self.session.command(_("Reading the recipe"), words, self._onInfo)
        self.askStates()

    def askStates(self) -> None:
        """Ask how far each stage is with the store and the data that are chosen."""
        self._askedPlace = self._place()
        node = self.session.parameterNode
        if node is not None and node.recipe:
            words = statusWords(node, self.session.store())
            self.session.command(_("Looking into the store"), words, self._onStates)

    def choose(self, recipe: str, preset: str = "paper", profile: str = "paper") -> None:
        """Take a recipe, by its name or by the path of its file."""
        node = self.session.parameterNode
        if node is not None:
            self._isChoosing = True  # each assignment refreshes this tab
            node.preset, node.profile, node.recipe = preset, profile, recipe
            self._isChoosing = False
            self._asked = ()
            self.refresh(None)

    def openFile(self, path: Path | None = None) -> None:
        """Take a file, by default one that the user chooses."""
        path = path or self.session.dialogs.openFile(_("Open a recipe"), FILES)
        if path is not None:
            self.choose(str(path))

    def save(self, path: Path | None = None) -> bool:
        """Save the recipe with its changes and take that file; whether the command was given."""
        node = self.session.parameterNode
        if node is None or self.info is None:
            return False
        name = f"{self.info['name']}-{node.preset}.toml"
        path = path or self.session.dialogs.saveFile(_("Save the recipe"), name, FILES)
        if path is None:
            return False
        words = editWords(node, self.table.changes, path)
        self.session.command(_("Saving the recipe"), words, self._onSaved)
        return True

    def undo(self) -> None:
        """Forget the changes."""
        self.table.show(self.info["stages"] if self.info is not None else ())

    def dryRun(self) -> bool:
        """Ask for memory and hours on this machine; whether the command was given."""
        node = self.session.parameterNode
        if node is None or self.info is None:
            return False
        self.ui.recipeCostLabel.text = _("Every network is built and one step is timed...")
        self.session.command(_("Dry run"), dryRunWords(node), self._onDryRun)
        return True

    def close(self) -> None:
        """Nothing is held."""

    def _connect(self) -> None:
        ui = self.ui
        ui.recipeComboBox.connect("activated(int)", self._onRecipe)
        ui.presetComboBox.connect("activated(int)", self._onVariant)
        ui.profileComboBox.connect("activated(int)", self._onVariant)
        ui.openRecipeButton.connect("clicked()", self.openFile)
        ui.saveRecipeButton.connect("clicked()", self.save)
        ui.undoRecipeButton.connect("clicked()", self.undo)
        ui.dryRunButton.connect("clicked()", self.dryRun)
        ui.recipeStatesButton.connect("clicked()", self.askStates)

    def _choice(self) -> tuple[str, ...]:
        node = self.session.parameterNode
        if node is None:
            return ()
        return (node.recipe, node.preset, node.profile)

    def _place(self) -> tuple[str, ...]:
        node = self.session.parameterNode
        return () if node is None else (node.manifest, node.dataFolder, str(self.session.store()))

    def _onList(self, result: JobResult) -> None:
        self.recipes = list(result.content.get("recipes", ()))
        self._showChoice()

    def _onInfo(self, result: JobResult) -> None:
        self.ui.recipeProblemLabel.text = problemText(result)
        if not result.succeeded:
            self._forget()
            return
        self.info = result.content
        self.ui.recipeCostLabel.text = ""
        self._showChoice()
        self.table.show(self.info["stages"])
        self._showGraph()
        self._showButtons()

    def _forget(self) -> None:
        """Show no parameters: those of another recipe would be taken for its own."""
        self.info, self.states = None, {}
        self.table.show(())
        self._showGraph()
        self._showButtons()

    def _onStates(self, result: JobResult) -> None:
        self.states = {stage["id"]: stage for stage in result.content.get("stages", ())}
        if result.error is not None:
            self.ui.recipeProblemLabel.text = problemText(result)
        self._showGraph()

    def _onSaved(self, result: JobResult) -> None:
        self.ui.recipeProblemLabel.text = problemText(result)
        if result.succeeded:
            self.choose(str(result.content["path"]))

    def _onDryRun(self, result: JobResult) -> None:
        ui = self.ui
        ui.recipeCostLabel.text = costText(result.content) if result.succeeded else ""
        ui.recipeProblemLabel.text = problemText(result)
        fillTable(ui.recipeCostTable, costHeaders(), costRows(result.content.get("checks", ())))

    def _showChoice(self) -> None:
        """The recipe, its preset and its profile in their lists."""
        node = self.session.parameterNode
        if node is None:
            return
        known = [str(recipe["name"]) for recipe in self.recipes]
        other = [node.recipe] if node.recipe and node.recipe not in known else []
        info = self.info if self.info is not None and self._isOf(node) else {}
        choices = {
            self.ui.recipeComboBox: (["", *known, *other], node.recipe),
            self.ui.presetComboBox: (info.get("presets", [node.preset]), node.preset),
            self.ui.profileComboBox: (info.get("profiles", [node.profile]), node.profile),
        }
        for combo, (names, chosen) in choices.items():
            fillCombo(combo, names, chosen)
        description = info.get("description") or self._description(node.recipe)
        self.ui.recipeDescriptionLabel.text = "\n".join([description, *info.get("references", ())])

    def _isOf(self, node: Any) -> bool:
        return bool(self.info) and node.recipe in (self.info["name"], self.info["path"])

    def _description(self, name: str) -> str:
        found = (r["description"] for r in self.recipes if r["name"] == name)
        return str(next(found, ""))

    def _showGraph(self) -> None:
        """Stages with what they take, and their states."""
        stages = self.info["stages"] if self.info is not None else ()
        headers = (_("Stage"), _("Takes"), _("Makes"), _("State"), _("Done"), _("Remark"))
        rows, states = [], []
        for stage in stages:
            found = self.states.get(stage["id"], {})
            takes = " + ".join(name for names in stage["inputs"].values() for name in names)
            done = f"{found['done']}/{found['total']}" if found.get("total") else ""
            states.append(found.get("state", ""))
            cells = (stage["id"], takes, stage["output"], stateWord(states[-1]), done)
            rows.append((*cells, found.get("detail", "")))
        table = self.ui.recipeGraphTable
        fillTable(table, headers, rows)
        for number, (stage, state) in enumerate(zip(stages, states, strict=True)):
            table.item(number, 0).setToolTip(stageHelp(stage))
            if state in COLORS:
                colorRow(table, number, COLORS[state])

    def _showButtons(self) -> None:
        ui, count = self.ui, len(self.table.changes)
        ui.saveRecipeButton.enabled = self.info is not None
        ui.undoRecipeButton.enabled = count > 0
        ui.dryRunButton.enabled = self.info is not None
        text = _("{count} changes are not saved; runs use the saved recipe.")
        ui.recipeChangesLabel.text = text.format(count=count) if count else ""

    def _onRecipe(self, _index: int) -> None:
        self.choose(str(self.ui.recipeComboBox.currentText))

    def _onVariant(self, _index: int) -> None:
        node, ui = self.session.parameterNode, self.ui
        if node is not None:
            preset, profile = ui.presetComboBox.currentText, ui.profileComboBox.currentText
            self.choose(node.recipe, str(preset), str(profile))


def fillCombo(combo: Any, names: Any, chosen: str) -> None:
    """Offer `names` and show `chosen`, which is added if it is none of them."""
    wanted = list(dict.fromkeys([*map(str, names), chosen]))
    if [combo.itemText(n) for n in range(combo.count)] != wanted:
        combo.clear()
        for name in wanted:
            combo.addItem(name)
    combo.setCurrentIndex(wanted.index(chosen))


def stageHelp(stage: Mapping[str, Any]) -> str:
    """What a stage does, and what to read about it."""
    return "\n".join([str(stage["help"]), *stage["references"]])


def problemText(result: JobResult) -> str:
    """What went wrong and what to do; empty if nothing did."""
    return "" if result.error is None else f"{result.error.message} {result.error.hint}".strip()


def costText(content: Mapping[str, Any]) -> str:
    """Memory and hours in one sentence, with a warning if the memory does not suffice."""
    memory, free = content["memory_mb"] / 1024, content["free_memory_mb"] / 1024
    hours = content.get("hours")
    if hours is None:
        text = _(
            "Up to {memory:.1f} GB; {free:.1f} GB are free. A step does not fit, so the time "
            "is not known."
        )
    else:
        text = _(
            "About {hours:.1f} hours of training, up to {memory:.1f} GB; {free:.1f} GB are free."
        )
    found = text.format(hours=hours, memory=memory, free=free)
    return found if memory <= free else found + " " + _("This is more than there is.")


def costHeaders() -> tuple[str, ...]:
    """Headers of the table of networks."""
    return (_("Stage"), _("Network"), _("Patch"), _("Parameters"), _("MB"), _("s/step"), _("Hours"))


def costRows(checks: Any) -> list[tuple[str, ...]]:
    """A row for each network that is trained."""
    return [
        (
            check["stage_id"],
            check["builder"],
            "x".join(str(n) for n in check["shape"]),
            f"{check['parameters']:,}",
            f"{check['memory_mb']:.0f}",
            "" if check["step_s"] is None else f"{check['step_s']:.2f}",
            "" if check["hours"] is None else f"{check['hours']:.2f}",
        )
        for check in checks
    ]
