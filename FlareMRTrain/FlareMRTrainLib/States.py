"""Words and colors for the states of runs, stages and cases."""

from FlareMRSegLib.Translation import tr as _

COLORS = {
    "done": "#d6efd6",
    "cached": "#e6f2e0",
    "running": "#d4e4f7",
    "failed": "#f6cccc",
    "error": "#f6cccc",
    "cancelled": "#ffe2b0",
    "interrupted": "#ffe2b0",
    "warning": "#ffe2b0",
    "stale": "#eadcf0",
}
"""Background colors of rows."""


def stateWord(state: str) -> str:
    """What people read for the state of a run or a stage; the state itself if it has no word."""
    words = {
        "running": _("running"),
        "done": _("done"),
        "cached": _("done before"),
        "incomplete": _("other parts are missing"),
        "failed": _("failed"),
        "cancelled": _("paused"),
        "interrupted": _("interrupted"),
        "stale": _("outdated"),
        "missing": _("to do"),
        "waiting": _("waiting"),
    }
    return words.get(state, state)
