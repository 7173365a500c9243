"""The commands of the tabs Look and Review, as words; what users may type themselves."""

from pathlib import Path

from FlareMRTrainLib.TrainCommands import JSON


def lookWords(run: Path) -> list[str]:
    """What the run has to show."""
    return ["look", "--run", str(run), JSON]


def queueWords(run: Path, stage: str) -> list[str]:
    """Pseudo-labels of a stage by doubt; of the recommended stage if `stage` is empty."""
    return ["review", "list", *_place(run, stage), JSON]


def decisionWords(run: Path, stage: str, kind: str, case: str, note: str) -> list[str]:
    """Note a decision about a case."""
    words = ["review", kind, case, *_place(run, stage)]
    return [*words, *(["--note", note] if note else []), JSON]


def correctionWords(run: Path, stage: str, case: str, note: str, labels: Path) -> list[str]:
    """Replace a pseudo-label by the labels in a file."""
    return [*decisionWords(run, stage, "correct", case, note), "--labels", str(labels)]


def addCaseWords(image: Path, labels: Path, manifest: Path, facts: dict[str, str]) -> list[str]:
    """Add an image with labels to a data set; `facts` are options by name, empty ones left out."""
    words = ["review", "add", str(image), str(labels), "--dataset", str(manifest)]
    for name, text in facts.items():
        words += [f"--{name}", text] if text else []
    return [*words, JSON]


def _place(run: Path, stage: str) -> list[str]:
    return ["--run", str(run), *(["--stage", stage] if stage else [])]
