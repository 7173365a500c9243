"""The verb `segment` around a fake engine: outputs, batches, resume, refusals."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from FlareMRCore.cli.main import main
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.events import parse_event
from FlareMRCore.pipeline import batch, segment_case
from Testing.core.pipeline import fake_engine
from Testing.core.pipeline.fake_engine import block_volume, open_fake_engine


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_case, "open_engine", open_fake_engine)
    monkeypatch.setattr(batch, "open_engine", open_fake_engine)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A good image in a folder of its own, with blanks and umlauts in its name."""
    path = tmp_path / "Bilder ü 肝" / "Fall 1.nii.gz"
    path.parent.mkdir()
    write_volume(path, block_volume())
    return path


def segment(*words: object) -> int:
    return main(["segment", *map(str, words)])


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".nrrd", ".mha"])
def test_one_image_gives_labels_on_its_grid(image: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"Ergebnis ü{suffix}"
    before = image.read_bytes()
    assert segment(image, "-o", output) == 0
    labels = read_label_map(output)
    assert labels.geometry.coincides(block_volume().geometry, tolerance_mm=1e-6)
    assert np.array_equal(np.unique(labels.array), [0, 1, 3])
    assert image.read_bytes() == before


def test_all_extras_are_written(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture, page = (tmp_path / name for name in ("t.csv", "p.png", "r.html"))
    output = tmp_path / "o.nii.gz"
    code = segment(
        image, "-o", output, "--statistics", table, "--preview", picture, "--report", page
    )
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [row["id"] for row in rows][:3] == ["liver", "right_kidney", "spleen"]
    assert float(rows[0]["volume_ml"]) == pytest.approx(4 * 6 * 4 * 0.021)
    assert (rows[0]["mean_intensity"], rows[0]["sd_intensity"]) == ("100.0", "0.0")
    assert (rows[1]["mean_intensity"], rows[1]["flags"]) == ("", "missing")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Fall 1" in page.read_text(encoding="utf-8")
    assert str(output) in capsys.readouterr().out


def test_json_lines(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(image, "-o", tmp_path / "o.nii.gz", "--json-progress") == 0
    events = [parse_event(line) for line in capsys.readouterr().out.splitlines()]
    assert None not in events
    stages = [event["stage"] for event in events if event and event["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == ["load", "read", "coarse", "save"]
    last = events[-1]
    assert last is not None
    assert last["event"] == "result"
    assert last["segmentation"] == str(tmp_path / "o.nii.gz")
    assert last["case"]["organs"][0]["id"] == "liver"


def test_report_as_json(image: Path, tmp_path: Path) -> None:
    assert segment(image, "-o", tmp_path / "o.nii.gz", "--report", tmp_path / "r.json") == 0
    record = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert record["report"]["weights_id"] == "fake"
    assert set(record["report"]["seconds"]) == {"load", "coarse", "save"}
    assert record["versions"]["Python"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["-o", "{image}"], 2),
        (["-o", "o.xyz"], 2),
        (["-o", "missing/o.nii.gz"], 2),
        (["-o", "file.txt/o.nii.gz"], 2),
        (["-o", "/proc/o.nii.gz"], 2),
        (["-o", "o.nii.gz", "--preview", "p.jpg"], 2),
        (["-o", "o.nii.gz", "--statistics", "s.json", "--report", "s.json"], 2),
        (["-o", "o.nii.gz", "--statistics", "o.labels.json"], 2),
        (["-o", "o.nii.gz", "--resume"], 2),
        (["-o", "o.nii.gz", "--organs", "liver,brain"], 2),
        (["-o", "o.nii.gz", "--frame", "4"], 3),
        (["-o", "o.nii.gz", "--tta", "0"], 2),
        (["-o", "out", "--preview", "p.png"], 2),
        (["-o", "{folder}"], 2),
    ],
)
def test_refusals_leave_nothing_behind(
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").touch()
    before, content = sorted(tmp_path.rglob("*.nii.gz")), image.read_bytes()
    assert segment(image, *[o.format(image=image, folder=image.parent) for o in options]) == code
    assert sorted(tmp_path.rglob("*.nii.gz")) == before
    assert image.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_bad_input_is_code_3(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.nii.gz"
    if content is not None:
        path.write_bytes(content)
    assert segment(path, "-o", tmp_path / "o.nii.gz") == 3
    assert not (tmp_path / "o.nii.gz").exists()


def test_an_earlier_output_survives_a_failure(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.nii.gz"
    assert segment(image, "-o", output) == 0
    before = output.read_bytes()
    write_volume(image, block_volume(bad=True))
    assert segment(image, "-o", output) == 3
    assert output.read_bytes() == before


def test_frames_of_a_4d_image(tmp_path: Path) -> None:
    volume = SimpleITK.GetImageFromArray(block_volume().array)
    SimpleITK.WriteImage(SimpleITK.JoinSeries([volume] * 3), str(tmp_path / "dyn.nii.gz"))
    out = tmp_path / "out"
    assert segment(tmp_path / "dyn.nii.gz", "-o", out) == 0
    assert sorted(p.name for p in out.glob("*.nii.gz")) == [
        f"dyn_frame{n}.nii.gz" for n in range(3)
    ]
    assert segment(tmp_path / "dyn.nii.gz", "-o", tmp_path / "o.nii.gz") == 2
    assert segment(tmp_path / "dyn.nii.gz", "-o", tmp_path / "o.nii.gz", "--frame", 1) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good images and two bad ones, and files that are no images."""
    path = tmp_path / "in"
    path.mkdir()
    for name, bad in (("a", False), ("b", True), ("d", False)):
        write_volume(path / f"{name}.nii.gz", block_volume(bad=bad))
    (path / "c.nrrd").write_bytes(b"broken")
    (path / "notes.txt").touch()
    (path / ".hidden.nii.gz").touch()
    return path


def manifest_of(out: Path) -> dict[str, dict[str, object]]:
    cases = json.loads((out / "flaremr-batch.json").read_text(encoding="utf-8"))["cases"]
    assert isinstance(cases, dict)
    return cases


def test_bad_cases_do_not_stop_a_batch(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page, table = tmp_path / "r.html", tmp_path / "t.json"
    assert segment(folder, "-o", out, "--report", page, "--statistics", table) == 6
    states = {name: entry["state"] for name, entry in manifest_of(out).items()}
    assert states == {"a": "done", "b": "failed", "c": "failed", "d": "done"}
    assert manifest_of(out)["b"]["error"]["code"] == "input.refused"  # type: ignore[index]
    assert sorted(p.name for p in out.glob("*.nii.gz")) == ["a.nii.gz", "d.nii.gz"]
    cases = json.loads(table.read_text(encoding="utf-8"))["cases"]
    assert [case["case"] for case in cases] == ["a", "d"]
    text = page.read_text(encoding="utf-8")
    assert "2 of 4 cases" in text
    assert "The engine refuses this image." in text


def test_a_defect_in_one_case_is_kept_with_its_traceback(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("surprise")

    monkeypatch.setattr(fake_engine, "segment", broken)
    assert segment(folder / "a.nii.gz", folder / "d.nii.gz", "-o", tmp_path / "out") == 6
    error = manifest_of(tmp_path / "out")["a"]["error"]
    assert error["exit_code"] == 1
    assert "RuntimeError" in error["details"]


def test_a_batch_of_one_fails_with_the_code_of_its_case(folder: Path, tmp_path: Path) -> None:
    assert segment(folder / "b.nii.gz", "-o", tmp_path / "out") == 3


def test_resume_does_only_what_is_not_really_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def done_again(*options: object) -> set[str]:
        """Cases that were segmented, not skipped."""
        capsys.readouterr()
        segment(folder, "-o", out, "--resume", *options)
        text = capsys.readouterr().err
        skipped = {line.split(":")[0] for line in text.splitlines() if "already done" in line}
        return {"a", "b", "c", "d"} - skipped

    segment(folder, "-o", out)
    assert done_again() == {"b", "c"}
    write_volume(folder / "b.nii.gz", block_volume())
    assert done_again() == {"b", "c"}
    assert done_again() == {"c"}
    (out / "a.nii.gz").write_bytes(b"damaged")
    assert done_again() == {"a", "c"}
    (out / "d.nii.gz").unlink()
    assert done_again() == {"c", "d"}
    changed = block_volume()
    write_volume(folder / "a.nii.gz", changed.__class__(changed.array * 1.0 + 1, changed.geometry))
    assert done_again() == {"a", "c"}
    (out / "reports" / "d.json").write_text("{}", encoding="utf-8")
    assert done_again() == {"c", "d"}
    assert done_again("--device", "cpu", "--threads", 2) == {"c"}
    assert done_again("--mode", "fast") == {"a", "b", "c", "d"}


def test_resume_draws_pictures_that_are_missing(folder: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "out", tmp_path / "pictures"
    segment(folder / "a.nii.gz", folder / "d.nii.gz", "-o", out)
    written = (out / "a.nii.gz").stat().st_mtime_ns
    names = (folder / "a.nii.gz", folder / "d.nii.gz")
    assert segment(*names, "-o", out, "--resume", "--preview", pictures) == 0
    assert (out / "a.nii.gz").stat().st_mtime_ns == written
    assert sorted(p.name for p in pictures.iterdir()) == ["a.png", "d.png"]


def test_a_damaged_manifest_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "flaremr-batch.json").write_text("{", encoding="utf-8")
    assert segment(folder, "-o", tmp_path / "out", "--resume") == 3
    assert "flaremr-batch.json" in capsys.readouterr().err


def test_equal_names_from_two_folders_stay_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "a.nii.gz", other / "a.nii.gz")
    out = tmp_path / "out"
    assert segment(folder / "a.nii.gz", other / "a.nii.gz", "-o", out) == 0
    assert sorted(p.name for p in out.glob("*.nii.gz")) == ["in_a.nii.gz", "other_a.nii.gz"]


def test_an_empty_folder_is_code_3(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert segment(tmp_path / "in", "-o", tmp_path / "out") == 3
