"""Who may know what: one file each for processes and pip, nobody for the network or torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIBS = (
    REPOSITORY / "FlareMRSeg" / "FlareMRSegLib",
    REPOSITORY / "FlareMRTrain" / "FlareMRTrainLib",
)
NETWORK = {"socket", "http", "urllib", "urllib3", "requests", "ftplib", "ssl", "asyncio"}
BRIDGES = {"MrmlBridge.py", "MrmlGeometry.py", "SegmentationExport.py", "TrainScene.py"}
BUNDLED = {
    "slicer",
    "vtk",
    "qt",
    "ctk",
    "numpy",
    "FlareMRCore",
    "FlareMRSegLib",
    "FlareMRTrainLib",
    "PyTorchUtils",
    "DICOMSegmentationPlugin",
    "SampleData",
}


def files() -> list[Path]:
    return sorted(path for lib in LIBS for path in lib.glob("*.py"))


def imports(path: Path) -> set[str]:
    """First names of all modules that a file imports, anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def attributes(path: Path) -> set[str]:
    """Every name after a dot."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_only_the_child_process_starts_processes() -> None:
    found = {p.name for p in files() if imports(p) & {"subprocess", "multiprocessing"}}
    assert found == {"ChildProcess.py"}
    assert not any("QProcess" in attributes(path) for path in files())


def test_only_the_installer_knows_pip() -> None:
    found = {p.name for p in files() if attributes(p) & {"pip_install", "pip_ensure"}}
    assert found == {"DependencyInstaller.py"}


def test_only_the_bridge_handles_geometry() -> None:
    geometry = {
        "SetIJKToRASMatrix",
        "GetIJKToRASMatrix",
        "SetImageToWorldMatrix",
        "HardenTransform",
    }
    found = {p.name for p in files() if attributes(p) & geometry}
    assert found <= BRIDGES
    assert found


def test_nobody_talks_to_the_network_or_loads_torch() -> None:
    for path in files():
        assert not imports(path) & (NETWORK | {"torch"}), path.name


def test_nothing_but_what_slicer_brings_is_imported() -> None:
    import sys

    for path in files():
        assert imports(path) <= BUNDLED | set(sys.stdlib_module_names), path.name


def slicer_names(path: Path) -> Iterator[str]:
    """Names X that are used as ``slicer.X`` and are classes of MRML."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_slicer = isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "slicer"
        if is_slicer and node.attr.startswith("vtk"):
            yield node.attr


def test_every_mrml_class_that_is_used_exists() -> None:
    slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
    used = {name for path in files() for name in slicer_names(path)}
    assert "vtkOrientedImageData" in used
    assert [name for name in sorted(used) if not hasattr(slicer, name)] == []
