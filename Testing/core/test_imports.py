"""What importing the core brings in: nothing that Slicer or torch must provide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FORBIDDEN = ("torch", "slicer", "qt", "ctk", "vtk", "vtkmodules", "mrml", "monai", "nibabel")
WITHOUT_TORCH = (
    "FlareMRCore",
    "FlareMRCore.errors",
    "FlareMRCore.progress",
    "FlareMRCore.events",
    "FlareMRCore.data",
    "FlareMRCore.imaging",
    "FlareMRCore.weights",
    "FlareMRCore.pipeline",
    "FlareMRCore.cli",
    "FlareMRCore.cli.main",
)

# Imports every file below the given package too, and lists the forbidden packages found loaded.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
blocked, forbidden, name = json.loads(sys.argv[1])
for package in blocked:
    sys.modules[package] = None
module = importlib.import_module(name)
if name != "FlareMRCore":
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(info.name)
print(json.dumps([p for p in forbidden if sys.modules.get(p) is not None]))
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter that treats warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", SWIG_WARNING, "-c", code, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


SWIG_WARNING = "ignore:builtin type:DeprecationWarning"


def loaded(name: str, *, blocked: tuple[str, ...]) -> list[str]:
    """Forbidden packages that are loaded after importing `name` and everything below it."""
    done = run_python(IMPORT_ALL, json.dumps([blocked, FORBIDDEN, name]))
    assert done.returncode == 0, done.stderr
    result: list[str] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_import_brings_in_neither_torch_nor_slicer(name: str) -> None:
    assert loaded(name, blocked=()) == []


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_import_works_where_torch_and_slicer_are_missing(name: str) -> None:
    assert loaded(name, blocked=("torch", "slicer", "qt", "ctk", "vtk")) == []


def test_the_probe_sees_torch_where_it_is_imported() -> None:
    assert loaded("FlareMRCore.networks", blocked=("slicer",)) == ["torch"]


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; a = set(sys.modules); import FlareMRCore; print(set(sys.modules) - a)"
    done = run_python(code)
    assert done.stdout.strip() == "{'FlareMRCore'}", done.stderr


def test_the_command_line_answers_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from FlareMRCore.cli.main import main\n"
        "sys.exit(main(['--help']))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "Segment 13 abdominal organs" in done.stdout
