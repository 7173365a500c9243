"""House rules that no linter knows: sizes, where to print, one list of labels, no left-overs."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from FlareMRCore.data.labels import organ_table

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = REPOSITORY / "FlareMRCore"
FOLDERS = ("FlareMRCore", "FlareMRSeg", "FlareMRTrain", "Testing")
TEXT = {".py", ".md", ".toml", ".json", ".txt", ".yaml", ".yml", ".cmake", ".ui", ".svg", ""}
FILE_LINES = 400
FUNCTION_LINES = 40
LEFT_OVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~:>}-])/(?:home|root|Users|work|mnt|opt)/\w|\b[C-Z]:\\Users\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: str) -> list[Path]:
    """Python files of the named top-level folders."""
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def tracked_text_files() -> list[Path]:
    """Text files that are, or are about to be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs git and a clone")
    paths = (REPOSITORY / line for line in done.stdout.splitlines())
    return [p for p in paths if p.is_file() and p.suffix in TEXT and p.name != "LICENSE.txt"]


def tree(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    """Functions and methods of a file."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def where(path: Path, node: ast.AST) -> str:
    """File and line of a syntax node."""
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 1)}"


def test_files_are_short() -> None:
    sizes = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in python_files(*FOLDERS)}
    assert {str(p): n for p, n in sizes.items() if n > FILE_LINES} == {}


def test_functions_are_short() -> None:
    found = [
        f"{where(path, function)} {function.name}: {length(function)} lines"
        for path in python_files(*FOLDERS)
        for function in functions(path)
        if length(function) > FUNCTION_LINES
    ]
    assert found == []


def test_length_leaves_out_the_docstring() -> None:
    module = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n')
    (function,) = module.body
    assert isinstance(function, ast.FunctionDef)
    assert length(function) == 2


def test_only_the_command_line_prints() -> None:
    found = [
        where(path, node)
        for path in python_files("FlareMRCore")
        if path.relative_to(CORE).parts[0] != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "pprint", "breakpoint", "input"}
    ]
    assert found == []


def test_the_core_raises_instead_of_asserting() -> None:
    found = [
        where(path, node)
        for path in python_files("FlareMRCore")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_every_public_name_has_a_docstring() -> None:
    found = [
        f"{where(path, node)} {name}"
        for path in python_files("FlareMRCore")
        for name, node in public_names(tree(path))
        if ast.get_docstring(node) is None
    ]
    assert found == []


def public_names(module: ast.Module) -> Iterator[tuple[str, ast.Module | Function | ast.ClassDef]]:
    """The module, its public functions and classes, and the public methods of those."""
    yield "module", module
    scopes: list[tuple[str, ast.Module | ast.ClassDef]] = [("", module)]
    for prefix, scope in scopes:
        for node in scope.body:
            if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    scopes.append((f"{prefix}{node.name}.", node))


def base_names(node: ast.ClassDef) -> list[str]:
    """Last parts of the names of a class's bases."""
    return [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases]


def test_only_exceptions_inherit_from_our_own_classes() -> None:
    classes = [
        (path, node)
        for path in python_files("FlareMRCore")
        if path.name != "errors.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    ]
    # A Protocol may be spelled out by another one; everything else is composed.
    ours = {node.name for _, node in classes if "Protocol" not in base_names(node)}
    found = [where(path, node) for path, node in classes if ours & set(base_names(node))]
    assert found == []


def test_no_catch_all_modules() -> None:
    names = {path.stem for path in python_files(*FOLDERS)}
    assert names.isdisjoint({"utils", "util", "helpers", "helper", "common", "misc", "manager"})


def test_no_left_over_marks() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in tracked_text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFT_OVERS.search(line)
    ]
    assert found == []


def test_no_path_of_somebody_s_machine() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:80]}"
        for path in tracked_text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("line", ["see /home/" + "ann/x", "'/wo" + "rk/main'", "C:\\" + "Users\\a"])
def test_a_machine_path_is_noticed(line: str) -> None:
    assert MACHINE_PATH.search(line)


def test_no_images_are_tracked() -> None:
    done = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs git and a clone")
    images = re.compile(r"\.(nii|nii\.gz|nrrd|mha|mhd|dcm|npy|npz|zip)$")
    assert [name for name in done.stdout.splitlines() if images.search(name)] == []


def organ_name(node: ast.AST | None) -> str | None:
    """The organ id that a string constant or a variable name spells, or None."""
    ids = {label.id for label in organ_table()}
    text = node.value if isinstance(node, ast.Constant) else getattr(node, "id", None)
    spelled = text.lower().replace(" ", "_") if isinstance(text, str) else ""
    return spelled if spelled in ids else None


def is_number(node: ast.AST | None) -> bool:
    """Whether a node is an integer constant."""
    return isinstance(node, ast.Constant) and type(node.value) is int


def label_lists(module: ast.Module) -> Iterator[ast.AST]:
    """Nodes that state which number an organ has, or list the organs in order."""
    order = [label.id for label in organ_table()]
    for node in ast.walk(module):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            if any(
                (organ_name(a) and is_number(b)) or (is_number(a) and organ_name(b))
                for a, b in pairs
            ):
                yield node
        elif isinstance(node, ast.List | ast.Tuple):
            if [organ_name(element) for element in node.elts] == order:
                yield node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and is_number(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(organ_name(target) for target in targets):
                yield node


def test_labels_are_listed_in_labels_json_only() -> None:
    found = [
        where(path, node)
        for path in python_files("FlareMRCore", "FlareMRSeg", "FlareMRTrain")
        for node in label_lists(tree(path))
    ]
    assert found == []


@pytest.mark.parametrize("code", ["LIVER = 1", "x = {'liver': 1}", "x = {13: 'left kidney'}"])
def test_a_second_list_of_labels_is_noticed(code: str) -> None:
    assert list(label_lists(ast.parse(code)))


def test_terminology_codes_are_in_labels_json_only() -> None:
    codes = {label.type_code.value for label in organ_table()}
    found = [
        where(path, node)
        for path in python_files("FlareMRCore", "FlareMRSeg", "FlareMRTrain")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and str(node.value) in codes
    ]
    assert found == []
