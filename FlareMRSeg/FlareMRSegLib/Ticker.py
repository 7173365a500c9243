"""What lets a runner look after its child: a Qt timer in Slicer, nothing in tests and scripts."""

from collections.abc import Callable

INTERVAL_MS = 100


class QtTicker:
    """Calls a function ten times a second while started."""

    def __init__(self) -> None:
        import qt

        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._callback: Callable[[], None] | None = None
        self._timer.connect("timeout()", self._call)

    def start(self, callback: Callable[[], None]) -> None:
        """Begin to call `callback`."""
        self._callback = callback
        self._timer.start()

    def stop(self) -> None:
        """Call it no more."""
        self._timer.stop()

    def _call(self) -> None:
        if self._callback is not None:
            self._callback()


class NoTicker:
    """For programs without an event loop: they call `JobRunner.poll` or `wait` themselves."""

    def start(self, callback: Callable[[], None]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


def defaultTicker() -> QtTicker | NoTicker:
    """A Qt timer if there is a Slicer application with Qt, else one that does nothing."""
    try:
        import qt

        timerExists = hasattr(qt, "QTimer")
    except ImportError:
        timerExists = False
    return QtTicker() if timerExists else NoTicker()


def processApplicationEvents() -> None:
    """Let Slicer redraw and react; nothing without an application."""
    try:
        import slicer

        slicer.app.processEvents()
    except (ImportError, AttributeError):
        return
