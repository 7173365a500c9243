"""The layers of FlareMRCore: the contracts of pyproject.toml hold, and would notice a breach."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = REPOSITORY / "FlareMRCore"
TORCH_LAYERS = {"networks", "inference", "training"}


def lint_imports(folder: Path) -> tuple[int, str]:
    """Exit status and output of import-linter on the FlareMRCore in `folder`."""
    code = "import sys; from importlinter.cli import lint_imports_command as run; run(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def settings() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def python_files() -> list[Path]:
    """Every Python file of the core."""
    return sorted(CORE.rglob("*.py"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the core and its contracts, to be broken."""
    shutil.copytree(CORE, tmp_path / "FlareMRCore", ignore=_all_but_python)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def _all_but_python(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if not n.endswith(".py") and not (Path(folder) / n).is_dir()]


def test_layers_hold() -> None:
    status, output = lint_imports(REPOSITORY)
    assert status == 0, output


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("data/geometry.py", "import FlareMRCore.pipeline", "Layers import downwards only"),
        ("imaging/resampling.py", "import torch", "Layers below the networks do without torch"),
        ("inference/__init__.py", "import vtk", "The core runs without Slicer"),
        ("weights/__init__.py", "import FlareMRCore.imaging", "Layers import downwards only"),
        ("cli/main.py", "import torch", "cli and pipeline reach torch only through the layers"),
    ],
)
def test_a_breach_is_noticed(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / "FlareMRCore" / file
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    status, output = lint_imports(copy)
    assert status != 0
    assert f"{contract}" in " ".join(output.split("BROKEN")[0].split()), output


def test_a_new_package_must_be_given_a_layer(copy: Path) -> None:
    (copy / "FlareMRCore" / "afterthought.py").write_text('"""No layer."""\n', encoding="utf-8")
    status, output = lint_imports(copy)
    assert status != 0
    assert "afterthought" in output


def test_torch_is_imported_by_its_layers_only() -> None:
    importers = {
        path.relative_to(CORE).parts[0]
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if "torch" in {name.split(".")[0] for name in _imported(node)}
    }
    assert importers
    assert importers <= TORCH_LAYERS


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module or ""]
    return []


def test_imports_are_absolute_and_name_what_they_take() -> None:
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}:{node.lineno} imports relatively"
                assert all(a.name != "*" for a in node.names), f"{path.name}:{node.lineno}"


def test_runtime_packages_are_those_declared() -> None:
    declared = {"numpy", "scipy", "SimpleITK", "cc3d", "requests", "torch", "PIL", "ants"}
    declared.add("_typeshed")  # exists for type checkers only, behind TYPE_CHECKING
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _imported(node):
                top = name.split(".")[0]
                known = top in declared or top in sys.stdlib_module_names or top == "FlareMRCore"
                assert known, f"{path.relative_to(REPOSITORY)}:{node.lineno} imports {top}"


def test_dependencies_are_ranges_and_leave_out_torch_2_9() -> None:
    dependencies: list[str] = settings()["project"]["dependencies"]
    assert all(">=" in d and "==" not in d for d in dependencies)
    (torch,) = (d for d in dependencies if d.startswith("torch"))
    assert "!=2.9.*" in torch


def test_make_installs_the_torch_of_the_constraints() -> None:
    constraint = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").strip()
    assert constraint.startswith("torch==")
    assert f"TORCH := {constraint}\n" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def test_every_resource_is_packaged() -> None:
    patterns = settings()["tool"]["setuptools"]["package-data"]["FlareMRCore"]
    suffixes = {Path(pattern).suffix for pattern in patterns}
    for path in (CORE / "resources").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert path.suffix in suffixes, f"{path.relative_to(REPOSITORY)} is not packaged"


def test_resources_are_valid_json() -> None:
    files = list((CORE / "resources").rglob("*.json"))
    assert CORE / "resources" / "labels.json" in files
    for path in files:
        json.loads(path.read_text(encoding="utf-8"))
