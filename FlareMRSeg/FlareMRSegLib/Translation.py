"""Translated texts in Slicer; the English text where there is no application (tests, scripts)."""

import sys

try:
    import slicer
except ImportError:  # logic that needs no MRML is also tested without it
    slicer = None


def tr(text: str) -> str:
    """`text` in the user's language, looked up under the name of the calling file."""
    if getattr(slicer, "app", None) is None or not hasattr(slicer.app, "translate"):
        return text
    from slicer.i18n import getContext, translate

    # slicer.i18n.tr takes the file of its caller as context; that would be this one.
    return translate(getContext(sys._getframe(1).f_code.co_filename), text)
