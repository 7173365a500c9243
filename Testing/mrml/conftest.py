"""Fixtures for tests of the modules' logic, on real MRML where slicer-core is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
for name in ("FlareMRSeg", "FlareMRTrain"):
    if str(REPOSITORY / name) not in sys.path:
        sys.path.insert(0, str(REPOSITORY / name))


@pytest.fixture
def scene() -> Iterator[Any]:
    """An empty MRML scene; the test is skipped where there is no MRML."""
    pytest.importorskip("slicer", reason="needs the package slicer-core")
    from Testing.mrml.bootstrap import bootstrap

    scene = bootstrap()
    scene.Clear(True)
    yield scene
    scene.Clear(True)


@pytest.fixture(scope="module")
def application() -> Iterator[Any]:
    """Qt's application with stand-ins for Slicer's widgets; skipped where there is no PySide6."""
    pytest.importorskip("slicer", reason="needs the package slicer-core")
    pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
    from Testing.mrml.train_panels import train_application

    with train_application() as found:
        yield found
