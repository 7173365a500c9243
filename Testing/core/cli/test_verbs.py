"""The small verbs: evaluate, devices, doctor, phantom, demo."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.cli.main import main
from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.pipeline import segment_case
from Testing.core.pipeline.fake_engine import block_volume, open_fake_engine


def block_labels(*, shift: int = 0) -> LabelMap:
    """Liver, spleen and a vessel of value 14; the liver may be shifted by slices."""
    volume = block_volume()
    array = np.where(volume.array == 200, 3, 0).astype(np.uint8)
    array[1 + shift : 4 + shift, 2:8, 7:11] = 1
    array[0, 0, :3] = 14
    return LabelMap(array, volume.geometry, organ_table())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """References and predictions: one perfect, one with the liver shifted by one of 3 slices."""
    for role in ("reference", "prediction"):
        (tmp_path / role).mkdir()
        for case, shift in (("a", 0), ("b", 1)):
            name = f"{case}{'_label' if role == 'reference' else ''}.nii.gz"
            labels = block_labels(shift=shift if role == "prediction" else 0)
            write_label_map(tmp_path / role / name, labels)
            (tmp_path / role / name.replace(".nii.gz", ".labels.json")).unlink()
    return tmp_path / "reference", tmp_path / "prediction"


def test_evaluate_folders(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, prediction = map(str, folders)
    words = ["evaluate", "--reference", reference, "--prediction", prediction]
    words += ["--reference-ending", "_label", "--annotated", "1,3"]
    assert main([*words, "-o", str(tmp_path / "s.json")]) == 0
    content = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert [case["case"] for case in content["cases"]] == ["a", "b"]
    assert set(content["summary"]) == {"standard", "flare"}
    liver = content["summary"]["standard"]["organs"][0]
    assert liver["organ"] == "liver"
    assert liver["dice"]["mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert len(content["summary"]["standard"]["organs"]) == 2
    out = capsys.readouterr().out
    assert "liver" in out
    assert "0.833" in out
    assert "pancreas" not in out
    assert main([*words, "-o", str(tmp_path / "s.csv"), "--metrics", "flare"]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text(encoding="utf-8"))))
    assert [(row["case"], row["organ"]) for row in rows] == [
        (case, organ) for case in "ab" for organ in ("liver", "spleen")
    ]
    assert float(rows[2]["dice"]) == pytest.approx(0.6667)
    assert rows[2]["hausdorff_95_mm"] == ""


def test_evaluate_two_files_of_any_name(folders: tuple[Path, Path]) -> None:
    files = [str(folders[0] / "a_label.nii.gz"), str(folders[1] / "b.nii.gz")]
    words = ["evaluate", "--reference", files[0], "--prediction", files[1]]
    assert main([*words, "--organs", "liver,spleen"]) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"--annotated": "1,99"}, 2),
        ({"--organs": "brain"}, 2),
        ({"--organs": "liver", "--annotated": "3"}, 2),
        ({"-o": "s.xls"}, 2),
        ({"--reference": "missing"}, 3),
        ({"--reference-ending": ""}, 3),
    ],
)
def test_evaluate_refuses(folders: tuple[Path, Path], change: dict[str, str], code: int) -> None:
    options = {"--reference": str(folders[0]), "--prediction": str(folders[1])}
    options["--reference-ending"] = "_label"
    pairs = {**options, **change}.items()
    assert main(["evaluate", *(word for pair in pairs for word in pair)]) == code


def test_evaluate_goes_on_after_a_bad_case(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[1] / "a.nii.gz").write_bytes(b"broken")
    words = ["evaluate", "--reference", str(folders[0]), "--prediction", str(folders[1])]
    words += ["--reference-ending", "_label", "-o", str(tmp_path / "s.json")]
    assert main(words) == 6
    cases = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["cases"]
    assert cases[0]["error"]["exit_code"] == 3
    assert cases[1]["scores"]


def test_one_bad_pair_is_code_3(folders: tuple[Path, Path]) -> None:
    (folders[1] / "a.nii.gz").write_bytes(b"broken")
    files = [str(folders[0] / "a_label.nii.gz"), str(folders[1] / "a.nii.gz")]
    assert main(["evaluate", "--reference", files[0], "--prediction", files[1]]) == 3


@pytest.mark.torch
def test_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    names = [device["name"] for device in facts["devices"]]
    assert names[-1] == "cpu"
    assert facts["auto"]["name"] in names
    assert main(["devices"]) == 0
    assert "auto takes" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    sections = {"versions", "torch", "registration", "memory and disk", "weights"}
    assert set(facts["sections"]) == sections
    assert main(["doctor"]) == 0
    assert "[problems]" in capsys.readouterr().out


def test_phantom(tmp_path: Path) -> None:
    image, labels = tmp_path / "p.nii.gz", tmp_path / "p.seg.nrrd"
    words = ["phantom", "-o", str(image), "--labels", str(labels), "--spacing", "12,9,9"]
    assert main([*words, "--sequence", "t2", "--seed", "3"]) == 0
    assert read_volume(image).geometry.coincides(read_label_map(labels).geometry)
    assert 1 in read_label_map(labels).array
    first = read_volume(image).array
    assert main([*words, "--sequence", "t2", "--seed", "4"]) == 0
    assert not np.array_equal(first, read_volume(image).array)


@pytest.mark.parametrize("spacing", ["0.1", "1,2", "x", "3,3,-3", "nan"])
def test_phantom_refuses_a_spacing(tmp_path: Path, spacing: str) -> None:
    assert main(["phantom", "-o", str(tmp_path / "p.nii.gz"), f"--spacing={spacing}"]) == 2


def test_demo_prints_three_paths_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(segment_case, "open_engine", open_fake_engine)
    monkeypatch.setattr("FlareMRCore.cli.demo.SPACING_MM", (12.0, 9.0, 9.0))
    assert main(["demo", "-o", str(tmp_path / "new" / "demo")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4].startswith("Sanity number")
    paths = dict(line.split(": ", 1) for line in lines[-3:])
    assert set(paths) == {"segmentation", "table", "picture"}
    assert all(Path(path).stat().st_size > 0 for path in paths.values())
