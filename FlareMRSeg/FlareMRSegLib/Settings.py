"""What the user chose once for all scenes, kept in Slicer's settings."""

import qt

GROUP = "FlareMRSeg"


def readSetting(name: str) -> str:
    """A setting; empty if it was never written."""
    return str(qt.QSettings().value(f"{GROUP}/{name}", "") or "")


def writeSetting(name: str, text: str) -> None:
    """Keep a setting."""
    qt.QSettings().setValue(f"{GROUP}/{name}", text)
