"""The tab Result: scores, weights, data sets and texts of a finished run."""

from typing import Any

from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.TrainSession import TrainSession


class ResultPanel:
    """Scores, weights, data sets and texts of a finished run.

    Args:
        ui: widgets of FlareMRTrainResult.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session

    def refresh(self, run: RunReading | None) -> None:
        """Show `run`: the tab became visible, another run was chosen, or its files changed."""

    def close(self) -> None:
        """The module is reloaded, or the scene is closed: let go of nodes and observers."""
