"""The tab Dataset: makes, checks and shows a data set."""

from typing import Any

from FlareMRCore.pipeline.run_reading import RunReading
from FlareMRTrainLib.TrainSession import TrainSession


class DatasetPanel:
    """Makes, checks and shows a data set.

    Args:
        ui: widgets of FlareMRTrainDataset.ui.
        session: what the panels share.
    """

    def __init__(self, ui: Any, session: TrainSession) -> None:
        self.ui = ui
        self.session = session

    def refresh(self, run: RunReading | None) -> None:
        """Show `run`: the tab became visible, another run was chosen, or its files changed."""

    def close(self) -> None:
        """The module is reloaded, or the scene is closed: let go of nodes and observers."""
