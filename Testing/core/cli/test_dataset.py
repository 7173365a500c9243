"""The verb `dataset`, from a folder of phantoms to manifest, report and sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_array, write_volume

GRID = Geometry((6, 20, 20), (5.0, 4.0, 4.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        array = np.random.default_rng(n).normal(100, 20, GRID.shape).astype(np.float32)
        write_volume(tmp_path / f"case{n}_mr.nii.gz", Volume(array, GRID))
        labels = np.zeros(GRID.shape, dtype=np.uint8)
        labels[1:4, 2:9, 10:18] = 1
        labels[1:3, 2:6, 1:5] = 3
        label_map = LabelMap(labels, GRID, organ_table())
        write_array(tmp_path / f"case{n}_label.nii.gz", label_map, None)
    return tmp_path


def test_build_check_summary(folder, capsys):
    assert main(["dataset", "build", str(folder), "--license", "CC0-1.0"]) == 0
    manifest = folder / "flaremr-dataset.json"
    assert "patients: 3" in capsys.readouterr().out
    report, sheet = folder / "report.json", folder / "sheet.png"
    words = ["dataset", "check", str(manifest), "--report", str(report), "--sheet", str(sheet)]
    assert main(words) == 0
    assert "3 cases, 0 errors" in capsys.readouterr().out
    assert json.loads(report.read_text(encoding="utf-8"))["organs"]["liver"]["occurs"] == 3
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert main(["dataset", "summary", str(manifest)]) == 0
    assert "liver: 3, spleen: 3" in capsys.readouterr().out


def test_errors_give_a_code_and_a_report(folder, capsys):
    assert main(["dataset", "build", str(folder), "--annotated", "liver,spleen"]) == 0
    (folder / "case1_mr.nii.gz").write_bytes(b"damaged")
    manifest, held_out = folder / "flaremr-dataset.json", folder / "held-out.txt"
    held_out.write_text("case0\ncase1\ncase2\n", encoding="utf-8")
    words = ["dataset", "check", str(manifest), "--held-out", str(held_out), "--json-progress"]
    capsys.readouterr()
    assert main(words) == 3
    events = [json.loads(line.split(" ", 1)[1]) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["code"] == "dataset.check"


@pytest.mark.parametrize(
    "words", [["-o", "elsewhere.json"], ["--validate-share", "2"], ["--annotated", "tail"]]
)
def test_wrong_use(folder, words, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["dataset", "build", str(folder), *words]) == 2


def test_a_sheet_is_a_png(folder, tmp_path, capsys):
    assert main(["dataset", "build", str(folder)]) == 0
    manifest = str(folder / "flaremr-dataset.json")
    assert main(["dataset", "check", manifest, "--sheet", str(tmp_path / "s.jpg")]) == 2
    assert "has none of the suffixes .png" in capsys.readouterr().err


def test_cases_are_listed_and_split_anew(folder, capsys):
    assert main(["dataset", "build", str(folder)]) == 0
    manifest = str(folder / "flaremr-dataset.json")
    capsys.readouterr()
    shares = ["train=0.34", "validate=0.33", "test=0.33"]
    assert main(["dataset", "split", manifest, *shares, "--seed", "3"]) == 0
    capsys.readouterr()
    assert main(["dataset", "cases", manifest, "--json"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert sorted(case["part"] for case in cases) == ["test", "train", "validate"]
    assert [case["annotated"] for case in cases] == [["liver", "spleen"]] * 3
    assert Path(cases[0]["images"]["MR"]).is_file()
    assert main(["dataset", "cases", manifest]) == 0
    assert "case0" in capsys.readouterr().out
    assert main(["dataset", "split", manifest, "train"]) == 2
