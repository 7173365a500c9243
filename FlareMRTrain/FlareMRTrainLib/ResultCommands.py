"""The commands of FlareMRCore that the tab Result starts, as words."""

from pathlib import Path
from typing import Any

from FlareMRTrainLib.TrainCommands import JSON, recipeWords


def exportModelWords(run: Path, folder: Path) -> list[str]:
    """Write the weights of a run and their card into a folder."""
    return ["recipe", "export-model", str(run), "-o", str(folder), JSON]


def importWeightsWords(folder: Path) -> list[str]:
    """Take weights over, as the tab Weights of FlareMRSeg does."""
    return ["weights", "import", str(folder), JSON]


def exportFilesWords(run: Path, stage: str, folder: Path) -> list[str]:
    """Copy what a stage made into a folder."""
    return ["recipe", "export-files", str(run), "--stage", stage, "-o", str(folder), JSON]


def methodsWords(run: Path) -> list[str]:
    """A text of the methods of a run."""
    return ["recipe", "methods", str(run), JSON]


def exportJobWords(node: Any, store: Path, folder: Path, *, copyImages: bool) -> list[str]:
    """Write the recipe and the data set of the parameter node as a job for another computer."""
    words = ["recipe", "export-job", *recipeWords(node), "--store", str(store)]
    words += ["--dataset", node.manifest] if node.manifest else []
    words += ["--copy-images"] if copyImages else []
    return [*words, "-o", str(folder), JSON]


def importJobWords(folder: Path, store: Path) -> list[str]:
    """Take the results of a job over."""
    return ["recipe", "import-job", str(folder), "--store", str(store), JSON]
