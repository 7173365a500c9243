"""A signal in plain Python, so that logic can be tested without Qt."""

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Signal:
    """Calls every connected function with the values it is emitted with.

    Args:
        description: names of the values, e.g. ``"stage, fraction, secondsLeft"``.
    """

    def __init__(self, description: str = "") -> None:
        self.description = description
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` from now on; connecting it twice changes nothing."""
        if slot not in self._slots:
            self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` no more; it need not have been connected."""
        if slot in self._slots:
            self._slots.remove(slot)

    def disconnectAll(self) -> None:
        """Forget every connected function."""
        self._slots.clear()

    def emit(self, *values: Any) -> None:
        """Call the connected functions in order; one that fails is logged, the others still run."""
        for slot in tuple(self._slots):
            try:
                slot(*values)
            except Exception:
                logger.exception("A function connected to signal (%s) failed.", self.description)
