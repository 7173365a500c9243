"""The commands of FlareMRCore that the panels start, as words; what users may type themselves."""

from pathlib import Path
from typing import Any

JSON = "--json-progress"


def recipeWords(node: Any) -> list[str]:
    """The recipe that the parameter node names, with preset and profile."""
    return [node.recipe, "--preset", node.preset, "--profile", node.profile]


def dataWords(node: Any, store: Path) -> list[str]:
    """Store, data set and data folder."""
    words = ["--store", str(store)]
    words += ["--dataset", node.manifest] if node.manifest else []
    words += ["--data", node.dataFolder] if node.dataFolder else []
    return words


def startWords(node: Any, store: Path) -> list[str]:
    """Start a run in a process of its own."""
    words = ["recipe", "start", *recipeWords(node), *dataWords(node, store)]
    words += ["--device", node.device]
    words += ["--threads", str(node.threads)] if node.threads else []
    return [*words, JSON]


def resumeWords(run: Path) -> list[str]:
    """Go on with a run that was stopped, killed or failed."""
    return ["recipe", "resume", str(run), JSON]


def stopWords(run: Path) -> list[str]:
    """Let a run save its state and end."""
    return ["recipe", "stop", str(run), JSON]


def statusWords(node: Any, store: Path) -> list[str]:
    """How far each stage of the recipe is."""
    return ["recipe", "status", *recipeWords(node), *dataWords(node, store), JSON]


def dryRunWords(node: Any) -> list[str]:
    """Memory and hours of the recipe on this machine."""
    return ["recipe", "check", *recipeWords(node), "--dry-run", "--device", node.device, JSON]


def editWords(node: Any, changes: dict[tuple[str, str], str], output: Path) -> list[str]:
    """Save the recipe with the changes of parameters, by (stage, parameter)."""
    words = ["recipe", "edit", *recipeWords(node), "-o", str(output)]
    for (stage, name), text in changes.items():
        words += ["--set", f"{stage}.{name}={text}"]
    return [*words, JSON]
