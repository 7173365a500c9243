"""Checks of the spatial size of an input, with messages that say what would fit."""

from __future__ import annotations

from FlareMRCore.errors import InputError


def check_multiple(shape: tuple[int, ...], multiple_of: tuple[int, ...]) -> None:
    """Pass if each axis is a positive multiple.

    Raises:
        InputError: the shape does not fit the network; the message tells both.
    """
    fits = len(shape) == len(multiple_of) and all(
        size > 0 and size % step == 0 for size, step in zip(shape, multiple_of, strict=True)
    )
    if not fits:
        message = f"The network needs axes that are multiples of {multiple_of}, not {shape}."
        raise InputError(message, code="network.shape", hint="Pad or resize the input.")


def check_minimum(shape: tuple[int, ...], smallest: int) -> None:
    """Pass if no axis is shorter than `smallest`.

    Raises:
        InputError: an axis is too short for the network; the message tells both.
    """
    if min(shape, default=0) < smallest:
        message = f"The network needs axes of at least {smallest}, not {shape}."
        raise InputError(message, code="network.shape", hint="Pad or resize the input.")
