"""What a stage is: a function with parameters, named inputs, a kind of output and a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.progress import Reporter
from FlareMRCore.training.translation_parameters import TranslationParameters

CASES, PACK, NETWORK, MODEL, SCORES = "cases", "pack", "network", "model", "scores"
TRANSLATOR, STYLES = "translator", "styles"
NNUNET = "nnunet"
"""Kinds of what stages take and make."""
CASE, DATASET = "case", "dataset"
"""Scopes: run once for each case, or once for all."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A named input.

    Attributes:
        kind: of what it takes.
        many: whether it takes more than one stage's output.
        required: whether it may be left empty.
    """

    kind: str
    many: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class StageInputs:
    """What a stage is given.

    Attributes:
        cases: by slot.
        folders: of artifacts of other kinds, by slot.
        attached: what `Stage.attached` found for these inputs, by name.
    """

    cases: Mapping[str, tuple[RecipeCase, ...]] = field(default_factory=dict)
    folders: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    attached: Mapping[str, DataFile] = field(default_factory=dict)

    def case(self) -> RecipeCase:
        """The case of a stage that runs for each case."""
        (only,) = next(iter(self.cases.values()))
        return only

    def folder(self, slot: str) -> Path | None:
        """The folder of a slot for one artifact; None if it is empty."""
        found = self.folders.get(slot, ())
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class StageContext:
    """Where and with what a stage runs; nothing here may change the content of its output.

    Attributes:
        folder: receives the files of the artifact.
        work: survives an interruption; for checkpoints.
        reporter: told about the progress.
        device: as `pick_device` understands.
        threads: processor threads; None for torch's own choice.
        data: folder that patterns of files start from, if one was given.
    """

    folder: Path
    work: Path
    reporter: Reporter
    device: str = "auto"
    threads: int | None = None
    data: Path | None = None

    def own_file(self, name: str) -> DataFile:
        """The file `name` that the stage has written to `folder`."""
        return DataFile(self.folder / name, sha256_of(self.folder / name))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies outside of artifacts: the data folder, the store itself, the hash of any file."""

    digest: Callable[[Path], str]
    data: Path | None = None
    store: Path | None = None

    def data_folder(self, purpose: str) -> Path:
        """The data folder.

        Raises:
            DatasetError: none was given.
        """
        if self.data is None:
            raise DatasetError(
                f"{purpose} needs a folder with images, and none was given.",
                code="recipe.data",
                hint="Give it with --data.",
            )
        return self.data


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What the sanity check needs to know of a stage that trains a network.

    Attributes:
        builder: name of the network.
        shape: largest patch (K, J, I), or (J, I) of a 2-D network.
        steps: optimizer steps.
        batch: patches of each step.
        translation: parameters of a translator; its `builder` is only a name for people.
    """

    builder: str
    shape: tuple[int, ...]
    steps: int
    batch: int = 1
    translation: TranslationParameters | None = None


StageFunction = Callable[[StageInputs, Any, StageContext], tuple[RecipeCase, ...]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A line of the table of stages.

    Attributes:
        version: raised whenever the output changes for the same inputs and parameters.
        parameters: frozen dataclass; defaults in code, units in names.
        run: writes files to ``context.folder`` and returns the cases it makes, () if it makes
            something else; images and labels of a case may stay where the input has them.
        output: kind of the output.
        slots: inputs by name; the first one is what ``input`` in a recipe means.
        scope: a stage of scope ``"case"`` gets one case in its first slot and returns one.
        resumable: whether it keeps state in ``context.work``, so that only one process may run it.
        external: digests of what it reads from outside of the store.
        attached: files that people added to its inputs, e.g. reviews; they never change, and
            their hashes are part of the key.
        training: what it trains, for the sanity check.
        common: whether all processes of torchrun run it together; else one does it for all.
    """

    version: int
    parameters: type
    run: StageFunction
    output: str
    slots: Mapping[str, Slot] = field(default_factory=dict)
    scope: str = DATASET
    resumable: bool = False
    external: Callable[[Any, Surroundings], Mapping[str, str]] | None = None
    training: Callable[[Any], TrainingPlan] | None = None
    attached: Callable[[StageInputs, Surroundings], Mapping[str, DataFile]] | None = None
    common: bool = False
