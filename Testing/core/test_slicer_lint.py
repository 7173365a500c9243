"""Static checks of the Slicer modules: what would only fail inside Slicer, as far as text tells.

Real widgets are driven by `Testing/slicer`, which needs a Slicer.
"""

from __future__ import annotations

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("FlareMRSeg", "FlareMRTrain")
UI_FILES = sorted(path for name in MODULES for path in (REPOSITORY / name).rglob("*.ui"))
SCRIPTS = sorted(path for name in MODULES for path in (REPOSITORY / name).rglob("*.py"))
SLICER_TESTS = sorted((REPOSITORY / "Testing" / "slicer").glob("*.py"))

QT_WIDGETS = {
    *("QCheckBox", "QComboBox", "QFrame", "QLabel", "QLineEdit", "QListWidget", "QPlainTextEdit"),
    *("QProgressBar", "QPushButton", "QSpinBox", "QTabWidget", "QTableWidget", "QToolButton"),
    "QWidget",
}
CUSTOM_WIDGETS = {
    *("ctkCollapsibleButton", "ctkPathLineEdit", "ctkSliderWidget"),
    *("qMRMLNodeComboBox", "qMRMLWidget"),
}
BUNDLED = {*sys.stdlib_module_names, "slicer", "qt", "ctk", "vtk", "numpy", "SimpleITK"}
"""Packages that every Slicer has; whatever else a file imports at its top breaks the module."""

OURS = {"FlareMRCore", "FlareMRSegLib", "FlareMRTrainLib"}
POPUPS = re.compile(r"QMessageBox|QFileDialog|QInputDialog|confirm\w+Display|(?<!Dialogs)\.exec_\(")
POPUP_FILES = {"Dialogs.py"}
CONNECTABLE = {  # class -> signals that may be connected to it
    "QPushButton": {"clicked()"},
    "QToolButton": {"clicked()"},
    "QCheckBox": {"toggled(bool)"},
    "QSpinBox": {"valueChanged(int)"},
    "QLineEdit": {"editingFinished()", "textChanged(QString)"},
    "QComboBox": {"activated(int)"},
    "QListWidget": {
        *("itemChanged(QListWidgetItem*)", "itemClicked(QListWidgetItem*)"),
        "itemActivated(QListWidgetItem*)",
    },
    "QTableWidget": {
        *("itemSelectionChanged()", "cellDoubleClicked(int,int)", "cellActivated(int,int)"),
        "cellChanged(int,int)",
    },
    "QTabWidget": {"currentChanged(int)"},
    "ctkPathLineEdit": {"currentPathChanged(QString)"},
    "ctkCollapsibleButton": {"contentsCollapsed(bool)"},
    "ctkSliderWidget": {"valueChanged(double)"},
    "qMRMLNodeComboBox": {"currentNodeChanged(vtkMRMLNode*)"},
}


@cache
def ui(path: Path) -> ElementTree.Element:
    """Root of a .ui file."""
    return ElementTree.parse(path).getroot()


def widgets(path: Path) -> dict[str, str]:
    """Class of each widget of a .ui file, by name."""
    return {node.attrib["name"]: node.attrib["class"] for node in ui(path).iter("widget")}


def all_widgets() -> dict[str, str]:
    """Class of each widget of all .ui files, by name."""
    return {name: kind for path in UI_FILES for name, kind in widgets(path).items()}


@cache
def tree(path: Path) -> ast.Module:
    """Syntax tree of a script."""
    return ast.parse(path.read_text(encoding="utf-8"))


def identity(path: Path) -> str:
    """Name of a file in the test's name."""
    return path.name


def properties(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Widget name and text of every property called `name`."""
    for widget in ui(path).iter("widget"):
        for node in widget.findall(f"property[@name='{name}']"):
            yield widget.attrib["name"], "".join(node.itertext()).strip()


PARAMETER_NODES = {
    "FlareMRSeg": "FlareMRSegLib/ParameterNode.py",
    "FlareMRTrain": "FlareMRTrainLib/TrainParameterNode.py",
}
"""File of each module's parameter node."""


def parameters(module_name: str) -> set[str]:
    """Fields of the parameter node of a module."""
    module = tree(REPOSITORY / module_name / PARAMETER_NODES[module_name])
    (node,) = (n for n in module.body if isinstance(n, ast.ClassDef))
    return {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]


def test_there_is_something_to_check() -> None:
    assert len(UI_FILES) >= 5
    assert len(SCRIPTS) >= 10
    assert len(parameters("FlareMRSeg")) >= 10
    assert len(parameters("FlareMRTrain")) >= 5


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_widget_classes_are_known_and_declared(path: Path) -> None:
    classes = set(widgets(path).values())
    assert classes - QT_WIDGETS - CUSTOM_WIDGETS == set()
    declared = {node.findtext("class") for node in ui(path).iter("customwidget")}
    assert declared == classes - QT_WIDGETS


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_the_top_widget_is_named_as_the_file(path: Path) -> None:
    top = ui(path).find("widget")
    assert top is not None
    assert (top.attrib["class"], top.attrib["name"]) == ("qMRMLWidget", path.stem)


def test_widget_names_are_unique() -> None:
    names = [name for path in UI_FILES for name in widgets(path)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_every_node_selector_gets_the_scene(path: Path) -> None:
    connected = {node.findtext("receiver") for node in ui(path).iter("connection")}
    kinds = widgets(path)
    assert connected == {name for name, kind in kinds.items() if kind == "qMRMLNodeComboBox"}


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_parameter_names_are_fields_of_the_parameter_node(path: Path) -> None:
    named = {text for _, text in properties(path, "SlicerParameterName")}
    assert named - parameters(path.relative_to(REPOSITORY).parts[0]) == set()


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_controls_have_tool_tips(path: Path) -> None:
    explained = {name for name, text in properties(path, "toolTip") if text}
    plain = {"QLabel", "QFrame", "QWidget", "QTabWidget", "qMRMLWidget", "ctkCollapsibleButton"}
    controls = {name for name, kind in widgets(path).items() if kind not in plain}
    assert controls - explained == set()


@pytest.mark.parametrize("path", UI_FILES, ids=identity)
def test_what_is_no_text_is_not_translated(path: Path) -> None:
    for node in ui(path).iter("property"):
        if node.attrib["name"] in {"SlicerParameterName", "nodeTypes", "settingKey"}:
            assert node[0].attrib.get("notr") == "true", node.attrib["name"]


def ui_names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every `ui.name` and `self.ui.name` of a script."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if name == "ui":
                yield node.lineno, node.attr


@pytest.mark.parametrize("path", [*SCRIPTS, *SLICER_TESTS], ids=identity)
def test_widgets_named_in_scripts_exist(path: Path) -> None:
    known = all_widgets()
    assert [(line, name) for line, name in ui_names(path) if name not in known] == []


def connections(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, widget and signal of every `ui.widget.connect("signal", ...)`."""
    for node in ast.walk(tree(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        if node.func.attr == "connect" and isinstance(owner, ast.Attribute):
            inner = owner.value
            name = inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")
            if name == "ui" and isinstance(node.args[0], ast.Constant):
                yield node.lineno, owner.attr, str(node.args[0].value)


@pytest.mark.parametrize("path", SCRIPTS, ids=identity)
def test_connected_signals_exist(path: Path) -> None:
    kinds = all_widgets()
    found = [
        (line, name, signal)
        for line, name, signal in connections(path)
        if signal not in CONNECTABLE.get(kinds[name], set())
    ]
    assert found == []


def test_signals_are_found() -> None:
    assert sum(1 for path in SCRIPTS for _ in connections(path)) > 20


def top_imports(path: Path) -> set[str]:
    """Packages imported when a file is imported; guarded and lazy imports do not count."""
    packages: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").partition(".")[0])
    return packages


@pytest.mark.parametrize("path", SCRIPTS, ids=identity)
def test_only_bundled_packages_are_imported_at_the_top(path: Path) -> None:
    assert top_imports(path) - BUNDLED - OURS == set()


@pytest.mark.parametrize("name", MODULES)
def test_module_files_import_none_of_our_packages_at_the_top(name: str) -> None:
    # Reload drops those packages; a name kept from before would be the old code.
    assert top_imports(REPOSITORY / name / f"{name}.py") & OURS == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=identity)
def test_torch_is_never_imported_in_slicer(path: Path) -> None:
    names = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert names & {"torch", "imp"} == set()


@pytest.mark.parametrize("path", [*SCRIPTS, *SLICER_TESTS], ids=identity)
def test_popups_open_in_one_place_only(path: Path) -> None:
    if path.name not in POPUP_FILES:
        assert POPUPS.findall(path.read_text(encoding="utf-8")) == []


def test_the_place_for_popups_is_quiet_in_tests() -> None:
    (dialogs,) = (n for n in tree_of("Dialogs.py").body if isinstance(n, ast.ClassDef))
    for method in dialogs.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            first = method.body[1]
            assert ast.unparse(first).startswith("if self._isTest():"), method.name


def tree_of(name: str) -> ast.Module:
    """Syntax tree of a file of FlareMRSegLib."""
    return tree(REPOSITORY / "FlareMRSeg" / "FlareMRSegLib" / name)


@pytest.mark.parametrize("name", MODULES)
def test_module_file_has_the_classes_slicer_looks_for(name: str) -> None:
    path = REPOSITORY / name / f"{name}.py"
    classes = [node.name for node in tree(path).body if isinstance(node, ast.ClassDef)]
    assert classes == [name, f"{name}Widget", f"{name}Logic", f"{name}Test"]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", SCRIPTS, ids=identity)
def test_translated_texts_are_constants(path: Path) -> None:
    found = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "_"
        and not (len(node.args) == 1 and isinstance(node.args[0], ast.Constant))
    ]
    assert found == []


def test_requirements_are_those_that_the_installer_installs() -> None:
    path = REPOSITORY / "FlareMRSeg" / "Resources" / "requirements.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    text = (path.parents[1] / "FlareMRSegLib" / "DependencyInstaller.py").read_text("utf-8")
    assert required
    assert [line for line in required if f'"{line}"' not in text] == []
