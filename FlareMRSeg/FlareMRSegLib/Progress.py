"""How far a job is, out of the steps of its stages."""

from FlareMRSegLib.Translation import tr as _

SHARES = {"load": 0.1, "read": 0.04, "coarse": 0.21, "fine": 0.5, "upsample": 0.1, "save": 0.05}
"""Part of a segmentation that each stage takes, roughly, in the order of the stages."""


class JobProgress:
    """Turns the steps of stages into one fraction that never goes back.

    Stages that are not of a segmentation (downloads, batches) have a fraction of their own.
    """

    def __init__(self) -> None:
        self._highest = 0.0

    def fraction(self, stage: str, done: int, total: int) -> float:
        """Part of the whole job that is done, 0 to 1."""
        ofStage = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        if stage not in SHARES:
            return ofStage
        names = list(SHARES)
        before = sum(SHARES[name] for name in names[: names.index(stage)])
        self._highest = max(self._highest, min(before + SHARES[stage] * ofStage, 1.0))
        return self._highest


def stageTitle(stage: str) -> str:
    """What people read for a stage; the stage itself if it has no title."""
    titles = {
        "load": _("Loading the networks"),
        "read": _("Reading the image"),
        "coarse": _("Looking for the organs"),
        "fine": _("Segmenting"),
        "upsample": _("Full resolution"),
        "save": _("Saving"),
        "cases": _("Images"),
        "download": _("Downloading"),
        "verify": _("Checking files"),
    }
    return titles.get(stage, stage)
