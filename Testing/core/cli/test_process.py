"""Real processes: exit codes, lines, signals, a cut batch, the cancel file, and the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.events import parse_event
from Testing.core.pipeline.fake_engine import block_volume

ROOT = Path(__file__).resolve().parents[3]
CANCEL_S = 5.0
"""Far more than a cancelled job needs, far less than it would run."""


def start(module: str, *words: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, **threads, **environment},
    )


def start_fake(*words: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return start("Testing.core.pipeline.fake_engine", *words, cwd=cwd, **environment)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "ü 肝.nii.gz"
    write_volume(path, block_volume())
    return path


def wait_for_stage(process: subprocess.Popen[str], stage: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = parse_event(line)
        if event and event.get("stage") == stage:
            return
    pytest.fail(f"the job ended before stage {stage}: {process.communicate()}")


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "file"])
def test_cancel_ends_the_job_with_130_and_no_output(image: Path, tmp_path: Path, way: str) -> None:
    process = start_fake(
        "segment", image, "-o", "out.nii.gz", "--json-progress",
        cwd=tmp_path, SLOW_S="0.05", FLAREMR_CANCEL_FILE=str(tmp_path / "cancel"),
    )  # fmt: skip
    wait_for_stage(process, "coarse")
    asked_s = time.monotonic()
    if way == "file":
        (tmp_path / "cancel").touch()
    else:
        process.send_signal(getattr(signal, way))
    out, err = process.communicate(timeout=CANCEL_S)
    assert process.returncode == 130
    assert time.monotonic() - asked_s < 1.0
    assert "Traceback" not in err
    event = parse_event(out.splitlines()[-1])
    assert event is not None
    assert event["code"] == "cancelled"
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_batch_that_was_cut_goes_on_where_it_ended(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    for name in names:
        write_volume(tmp_path / f"{name}.nii.gz", block_volume())
    words = ["segment", *(f"{name}.nii.gz" for name in names), "-o", "out", "--resume"]
    process = start_fake(*words, "--json-progress", cwd=tmp_path, SLOW_S="0.02")
    assert process.stdout is not None
    for line in process.stdout:
        event = parse_event(line)
        if event and event.get("stage") == "cases" and event["done"] == 1:
            break
    process.kill()
    process.communicate()
    cases = json.loads((tmp_path / "out" / "flaremr-batch.json").read_text())["cases"]
    assert [cases[name]["state"] for name in names] == ["done", "pending", "pending"]
    again = start_fake(*words, cwd=tmp_path)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "a: already done" in err
    assert "b: already done" not in err
    cases = json.loads((tmp_path / "out" / "flaremr-batch.json").read_text())["cases"]
    assert [cases[name]["state"] for name in names] == ["done"] * 3
    assert not list((tmp_path / "out").glob("*.partial"))


def test_a_closed_pipe_does_no_harm(image: Path, tmp_path: Path) -> None:
    process = start_fake("segment", image, "-o", "out.nii.gz", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert (tmp_path / "out.nii.gz").exists()


def test_a_job_stops_when_its_listener_is_gone(image: Path, tmp_path: Path) -> None:
    process = start_fake(
        "segment", image, "-o", "out.nii.gz", "--json-progress", cwd=tmp_path, SLOW_S="0.2"
    )
    wait_for_stage(process, "coarse")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=CANCEL_S) == 130
    assert "Traceback" not in err
    assert not (tmp_path / "out.nii.gz").exists()


def test_without_torch_segment_is_code_7_and_the_rest_works(image: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from FlareMRCore.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, words)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )

    result = run("devices")
    assert result.returncode == 7
    assert "torch" in result.stderr
    assert "Traceback" not in result.stderr
    result = run("doctor")
    assert result.returncode == 0
    assert "torch cannot be imported" in result.stdout


@pytest.mark.torch
def test_the_real_engine(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from FlareMRCore.networks.builders import NETWORKS
    from FlareMRCore.weights.models import describe_file, save_entry
    from FlareMRCore.weights.registry import NetworkSpec, WeightsEntry

    model = tmp_path / "model"
    model.mkdir()
    network = NETWORKS["flaremr-coarse"].build()
    content = {"builder": "flaremr-coarse", "state_dict": network.state_dict()}
    torch.save(content, model / "coarse.pt")
    spec = NetworkSpec(
        "flaremr-coarse", "coarse.pt", (4.0, 4.0, 4.0), None, (16, 16, 16), organs=True
    )
    entry = WeightsEntry(
        "random", "1", "random", "Untrained.", "CC0-1.0", "https://example.org", True,
        (describe_file(model / "coarse.pt"),), spec, None,
    )  # fmt: skip
    save_entry(entry, model)
    noise = np.random.default_rng(0).random((12, 24, 20), dtype=np.float32)
    geometry = Geometry(noise.shape, (8.0, 6.0, 6.0))  # type: ignore[arg-type]
    write_volume(tmp_path / "image.nrrd", Volume(noise, geometry))
    process = start(
        "FlareMRCore", "segment", "image.nrrd", "-o", "out.seg.nrrd", "--weights", model,
        "--device", "cpu", "--threads", "1", "--organs", "liver,left kidney", "--json-progress",
        cwd=tmp_path,
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    event = parse_event(out.splitlines()[-1])
    assert event is not None
    assert event["event"] == "result"
    assert [organ["id"] for organ in event["case"]["organs"]] == ["liver", "left_kidney"]
    assert event["case"]["report"]["weights_id"] == "random"
    labels = read_label_map(tmp_path / "out.seg.nrrd")
    assert labels.geometry.coincides(geometry)
    assert set(np.unique(labels.array)) <= {0, 1, 13}
