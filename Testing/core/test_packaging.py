"""The package that CMake makes: every file of the repository is in it, and it runs alone.

Slicer is not built here: `Testing/packaging/stand_in` stands in for its CMake macros.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_IN = REPOSITORY / "Testing" / "packaging" / "stand_in"
MODULES_FOLDER = Path("lib") / "Slicer-5.10" / "qt-scripted-modules"
NOT_INSTALLED = {"CMakeLists.txt"}
CMAKE_LISTS = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")


def program(name: str) -> str:
    """Path of a program in the environment of this Python or on the search path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*command: str | Path, **environment: str) -> str:
    """Output of a command that must succeed; only `PATH` and `environment` are inherited."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder qt-scripted-modules of a package made by CMake."""
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("package")
    cmake = program("cmake")
    program("make")
    # The project enables C and C++ as Slicer's does; nothing is compiled, so any program will do.
    options = [
        f"-DCMAKE_{language}_COMPILER{suffix}"
        for language in ("C", "CXX")
        for suffix in (f"={cmake}", "_FORCED=1", "_ID_RUN=1", "_ID=none")
    ]
    options += [f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON"]
    run(cmake, "-G", "Unix Makefiles", "-S", REPOSITORY, "-B", build, *options)
    run(cmake, "--install", build, "--prefix", prefix)
    return prefix / MODULES_FOLDER


def files_in(folder: Path) -> set[str]:
    """Files below a folder, relative to it."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def repository_files(folder: str) -> set[str]:
    """Files of the repository below `folder`, relative to it; generated ones are left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs git and a clone")
    paths = [REPOSITORY / line for line in done.stdout.splitlines()]
    return {
        str(path.relative_to(REPOSITORY / folder))
        for path in paths
        if path.is_file() and path.name not in NOT_INSTALLED
    }


def test_the_engine_is_complete(package: Path) -> None:
    assert files_in(package / "FlareMRCore") == repository_files("FlareMRCore")


def test_the_modules_are_complete(package: Path) -> None:
    packaged = {name for name in files_in(package) if not name.startswith("FlareMRCore/")}
    assert packaged == repository_files("FlareMRSeg") | repository_files("FlareMRTrain")


def test_the_modules_share_no_file_name() -> None:
    assert repository_files("FlareMRSeg") & repository_files("FlareMRTrain") == set()


def test_only_modules_lie_where_slicer_looks_for_modules(package: Path) -> None:
    assert {path.name for path in package.glob("*.py")} == {"FlareMRSeg.py", "FlareMRTrain.py"}


def test_the_description_names_the_dependency(package: Path) -> None:
    (description,) = package.parents[2].glob("share/**/FlareMR.s4ext")
    assert "depends PyTorch\n" in description.read_text(encoding="utf-8")


def packaged_engine(package: Path, *words: str | Path, folder: Path) -> str:
    """Output of the packaged engine; nothing of the repository is on Python's path."""
    # -P: not even the working directory. The environment's packages stand in for Slicer's.
    return run(
        sys.executable,
        *("-P", "-m", "FlareMRCore", *words),
        PYTHONPATH=str(package),
        HOME=str(folder),
        OMP_NUM_THREADS="1",
        PYTHONSAFEPATH="1",
    )


def test_the_packaged_engine_is_the_one_that_runs(package: Path, tmp_path: Path) -> None:
    code = "import FlareMRCore; print(FlareMRCore.__file__)"
    found = run(sys.executable, "-P", "-c", code, PYTHONPATH=str(package), HOME=str(tmp_path))
    assert Path(found.strip()) == package / "FlareMRCore" / "__init__.py"


MAKE_MODEL = """
import sys
from pathlib import Path
import torch
from FlareMRCore.networks.builders import build_network
from FlareMRCore.training.checkpoint import export_state
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.training.model_folder import write_model_folder
folder = Path(sys.argv[1])
torch.manual_seed(3)
export_state(folder / "coarse.pt", build_network("flaremr-coarse").state_dict(), "flaremr-coarse")
write_model_folder((folder / "coarse.pt",), folder / "model", ModelDescription("random", "Random"))
"""


def segment_phantom(package: Path, folder: Path, *options: str | Path) -> dict[str, Any]:
    """The result event of the packaged engine for a small phantom."""
    if find_spec("torch") is None:
        pytest.skip("needs torch")
    image, result = folder / "phantom.nii.gz", folder / "result.seg.nrrd"
    packaged_engine(package, "phantom", "--spacing", "6", "-o", image, folder=folder)
    words = ("segment", image, "-o", result, "--mode", "fast", "--device", "cpu", "--threads", "1")
    output = packaged_engine(package, *words, "--json-progress", *options, folder=folder)
    assert result.is_file()
    events = [json.loads(line[9:]) for line in output.splitlines() if line.startswith("@flaremr ")]
    (found,) = [event for event in events if event["event"] == "result"]
    return dict(found)


@pytest.mark.torch
def test_the_package_segments_the_phantom(package: Path, tmp_path: Path) -> None:
    run(
        sys.executable,
        "-P",
        "-c",
        MAKE_MODEL,
        tmp_path,
        PYTHONPATH=str(package),
        OMP_NUM_THREADS="1",
    )
    found = segment_phantom(package, tmp_path, "--weights", tmp_path / "model")
    assert found["case"]["report"]["weights_id"] == "random"
    assert len(found["case"]["organs"]) == 13


@pytest.mark.torch
def test_the_packaged_weights_find_the_liver(package: Path, tmp_path: Path) -> None:
    if not list((package / "FlareMRCore" / "resources" / "weights").rglob("*.pt")):
        pytest.skip("no weights are bundled")
    found = segment_phantom(package, tmp_path)
    liver = next(organ for organ in found["case"]["organs"] if organ["id"] == "liver")
    assert liver["volume_ml"] > 100


def extension_value(name: str) -> str:
    """What the top CMakeLists sets, read from its text as the index's checker does."""
    (value,) = re.findall(rf'^set\(EXTENSION_{name} "([^"$]+)"\)$', CMAKE_LISTS, re.MULTILINE)
    return value


def index_entry() -> dict[str, object]:
    """The entry for the Extensions Index."""
    text = (REPOSITORY / "FlareMR.json").read_bytes()
    assert b"\r" not in text
    content: dict[str, object] = json.loads(text)
    return content


def test_the_project_is_named_as_the_index_entry() -> None:
    assert re.findall(r"^project\((\w+)\)$", CMAKE_LISTS, re.MULTILINE) == ["FlareMR"]
    assert index_entry()["scm_url"] == f"{extension_value('HOMEPAGE')}.git"
    assert Path(extension_value("HOMEPAGE")).name == "SlicerFlareMR"


def test_index_and_cmake_agree_on_dependencies_and_category() -> None:
    assert index_entry()["build_dependencies"] == extension_value("DEPENDS").split()
    assert index_entry()["category"] == extension_value("CATEGORY")


def test_the_index_entry_has_known_fields_only() -> None:
    known = {"$schema", "build_dependencies", "build_subdirectory", "category", "enabled"}
    known |= {"dicom_support_rule", "scm_revision", "scm_type", "scm_url", "tier"}
    assert set(index_entry()) <= known


@pytest.mark.parametrize("name", ["ICONURL", "SCREENSHOTURLS"])
def test_picture_urls_are_literal_and_name_files_of_the_repository(name: str) -> None:
    start = "https://raw.githubusercontent.com/FlareMR/SlicerFlareMR/main/"
    for url in extension_value(name).split():
        assert url.startswith(start)
        path = REPOSITORY / url.removeprefix(start)
        if name == "SCREENSHOTURLS" and not path.is_file():
            pytest.skip(f"{path.name} is made by Testing/slicer/run_in_slicer.py")
        assert path.is_file()


@pytest.mark.parametrize(
    "path",
    [
        "Resources/FlareMR.png",
        "FlareMRSeg/Resources/Icons/FlareMRSeg.png",
        "FlareMRTrain/Resources/Icons/FlareMRTrain.png",
    ],
)
def test_icons_are_128_pixels_wide_and_high(path: str) -> None:
    header = (REPOSITORY / path).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (128, 128)
