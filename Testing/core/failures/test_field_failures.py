"""Failures that users of other tools met, where no test of a single part would notice them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from FlareMRCore.data.geometry import Geometry  # noqa: E402
from FlareMRCore.data.volume import Volume  # noqa: E402
from FlareMRCore.data.volume_io import read_volume  # noqa: E402
from FlareMRCore.inference.model import load_model  # noqa: E402
from FlareMRCore.inference.segmentation import SegmentOptions, segment  # noqa: E402
from FlareMRCore.inference.upsampling import upsample_labels  # noqa: E402
from FlareMRCore.inference.views import parse_view  # noqa: E402
from FlareMRCore.networks.builders import build_network  # noqa: E402
from FlareMRCore.pipeline.engine import Engine  # noqa: E402
from FlareMRCore.pipeline.segment_case import segment_file  # noqa: E402
from FlareMRCore.progress import SilentReporter  # noqa: E402
from FlareMRCore.training.checkpoint import export_state  # noqa: E402
from FlareMRCore.training.model_description import ModelDescription  # noqa: E402
from FlareMRCore.training.model_folder import (  # noqa: E402
    ROLES,
    own_network,
    write_model_folder,
)
from FlareMRCore.weights.registry import load_registry  # noqa: E402

pytestmark = pytest.mark.torch
REPOSITORY = Path(__file__).resolve().parents[3]
Blocks = tuple[NDArray[np.float32], NDArray[np.float64]]
Save = Callable[..., Path]
# Axes from the first in the file: axial, coronal and sagittal stacks, some of them left-handed.
STACKS = ("RAS", "LPS", "LAS", "RSA", "LIP", "RIA", "ASR", "PIL", "AIR")


def labels_in_ras(path: Path) -> NDArray[np.uint8]:
    """Label map with its axes brought to R, A, S by nibabel."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def segmented(source: Path, engine: Engine, suffix: str = ".nii.gz") -> Path:
    """Output of a segmentation from file to file."""
    output = source.with_name(f"labels-{source.name.split('.')[0]}{suffix}")
    segment_file(source, output, engine=engine)
    return output


@pytest.mark.parametrize("codes", STACKS)
def test_stacks_of_any_direction_give_the_same_organs_from_file_to_file(
    tmp_path: Path, blocks: Blocks, block_engine: Engine, save_nifti: Save, codes: str
) -> None:
    straight = save_nifti(tmp_path / "straight.nii.gz", *blocks)
    expected = labels_in_ras(segmented(straight, block_engine))
    assert set(np.unique(expected)) >= {0, 1, 3}
    turned = save_nifti(tmp_path / "turned.nii.gz", *blocks, codes)
    output = segmented(turned, block_engine)
    np.testing.assert_array_equal(labels_in_ras(output), expected)
    assert nib.aff2axcodes(nib.load(output).affine) == tuple(codes)
    np.testing.assert_array_equal(nib.load(output).affine, nib.load(turned).affine)
    right = [float(np.argwhere(expected == value)[:, 0].mean()) for value in (3, 1)]
    assert right[0] < expected.shape[0] / 2 < right[1]


@pytest.mark.parametrize("codes", ["RAS", "ASR", "SRA"])
def test_thick_slices_are_taken_for_thick_along_the_right_axis(
    tmp_path: Path, blocks: Blocks, block_engine: Engine, save_nifti: Save, codes: str
) -> None:
    source = save_nifti(tmp_path / "image.nii", *blocks, codes)
    record = segment_file(source, tmp_path / "out.nii", engine=block_engine).record
    spacing = dict(zip(codes, nib.load(source).header.get_zooms(), strict=True))
    assert spacing == {"R": 3.0, "A": 4.0, "S": 6.0}
    seen = record.report["stages"][0]
    np.testing.assert_allclose(seen["spacing_mm"], 4.0, atol=0.4)
    liver = next(organ for organ in record.organs if organ.id == "liver")
    drawn_ml = 12 * 16 * 11 * 3 * 4 * 6 / 1000
    assert liver.volume_ml == pytest.approx(drawn_ml, rel=0.15)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [("f4", 1 / 404, 0.0), ("f8", 1e-3, 0.0), ("f4", 1e6, 0.0), ("u2", 100.0, 3.0),
     ("i2", 10.0, -2000.0), ("i4", 1e5, -7e6)],
)  # fmt: skip
def test_images_of_any_scale_and_type_are_segmented(
    tmp_path: Path, blocks: Blocks, block_engine: Engine, save_nifti: Save,
    dtype: str, slope: float, intercept: float,
) -> None:  # fmt: skip
    array, affine = blocks
    expected = labels_in_ras(segmented(save_nifti(tmp_path / "a.nii", array, affine), block_engine))
    scaled = (array.astype(np.float64) * slope + intercept).astype(dtype)
    found = labels_in_ras(segmented(save_nifti(tmp_path / "b.nii", scaled, affine), block_engine))
    assert {1, 3} <= set(np.unique(found))
    assert (found != expected).mean() < 1e-3


def test_views_of_our_own_networks_never_exchange_left_and_right() -> None:
    specs = [own_network(builder, "x.pt") for builder in ROLES]
    for entry in load_registry().entries:
        specs += [spec for spec in (entry.coarse, entry.fine) if spec and spec.builder in ROLES]
    for spec in specs:
        assert all(4 not in parse_view(name).flips for name in spec.views), spec.builder
    assert 4 in parse_view("flip-KJI").flips


MEMORY_PROBE = """
import sys
import numpy as np
import torch
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.inference.segmentation import SegmentOptions, segment
from FlareMRCore.progress import SilentReporter
sys.path.insert(0, {folder!r})
from conftest import Levels, model_of

def peak_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024

torch.set_num_threads(1)
model = model_of(Levels({{0: -1.0, 1: 1.0, 3: 0.0}}))

def run(shape):
    array = np.full(shape, 100.0, np.float32)
    array[:, :4] = 0
    k, j, i = (slice(n // 4, 3 * n // 4) for n in shape)
    array[k, j, i] = np.random.default_rng(0).uniform(90, 400, array[k, j, i].shape)
    volume = Volume(array, Geometry(shape, (2.0, 0.9, 0.9)))
    return segment(volume, model, SegmentOptions(threads=1), SilentReporter())

run((16, 64, 64))
before = peak_mb()
result = run((64, 400, 400))
assert result.label_map.array.any()
print(peak_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_memory_for_the_labels_is_far_below_that_of_all_logits() -> None:
    code = MEMORY_PROBE.format(folder=str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    all_logits_mb = 14 * 4 * 64 * 400 * 400 / 1024**2
    assert float(done.stdout) < 0.6 * all_logits_mb


def test_bringing_labels_to_full_size_is_faster_than_doing_so_with_all_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    blobs = torch.randn(14, 6, 8, 9, generator=generator)
    logits = torch.nn.functional.interpolate(blobs[None], scale_factor=6.0, mode="trilinear")[0]
    k, j, i = logits.shape[1:]
    grid = Geometry((k, j, i), (4.0, 4.0, 4.0))
    shape = (48, 144, 162)

    def all_logits() -> NDArray[np.int64]:
        full = torch.nn.functional.interpolate(logits[None], size=shape, mode="trilinear")
        return full[0].argmax(0).numpy()

    def ours() -> NDArray[np.uint8]:
        return upsample_labels(logits, grid, grid.resized(shape), SilentReporter())

    assert (ours() == all_logits()).mean() > 0.9999
    assert processor_seconds(ours) < processor_seconds(all_logits)


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three runs: other programs hardly change it."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_an_interrupt_is_not_taken_for_a_lack_of_memory(
    make_model: Callable[..., Any], blocks: Blocks
) -> None:
    class Interrupted(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Interrupted.calls += 1
            if x.shape[2] < 8:  # the estimate of memory
                return torch.zeros(1, 14, *x.shape[2:])
            raise KeyboardInterrupt

    model = make_model(Interrupted(), views=("flip-K",))
    volume = nifti_like_volume(blocks)
    with pytest.raises(KeyboardInterrupt):
        segment(volume, model, SegmentOptions(half_precision=False), SilentReporter())
    assert Interrupted.calls <= 2


def nifti_like_volume(blocks: Blocks) -> Volume:
    """The blocks as a volume, without a file."""
    array, affine = blocks
    geometry = Geometry.from_affine(affine[:, [2, 1, 0, 3]], array.T.shape)
    return Volume(np.ascontiguousarray(array.T), geometry)


def test_nothing_runs_in_worker_processes() -> None:
    # What is never started cannot be killed unnoticed, nor hang, nor need a main guard.
    started = {"Process", "Pool", "ProcessPoolExecutor", "fork", "spawn", "set_start_method"}
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.func.attr}"
        for path in sorted((REPOSITORY / "FlareMRCore").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in started
    ]
    assert found == []


def test_a_segmentation_can_run_in_a_daemon_process(
    tmp_path: Path, blocks: Blocks, save_nifti: Save
) -> None:
    # A daemon of multiprocessing may have no children: a pool of workers would fail in it.
    source = save_nifti(tmp_path / "image.nii.gz", *blocks)
    model = random_model(tmp_path / "model")
    code = (
        "import multiprocessing as m, sys\n"
        "from FlareMRCore.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    words = ['segment', *sys.argv[1:], '--mode', 'fast', '--threads', '1']\n"
        "    p = m.get_context('fork').Process(target=lambda: sys.exit(main(words)), daemon=True)\n"
        "    p.start(); p.join(); sys.exit(p.exitcode)\n"
    )
    output = tmp_path / "out.nii.gz"
    words = [str(source), "-o", str(output), "--weights", str(model), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert output.is_file()


def random_model(folder: Path) -> Path:
    """Weights of a coarse network, never trained."""
    torch.manual_seed(0)
    state = folder.with_name("state.pt")
    export_state(state, build_network("flaremr-coarse").state_dict(), "flaremr-coarse")
    write_model_folder((state,), folder, ModelDescription("random", "Random numbers"))
    return folder


def test_weights_images_and_results_lie_in_folders_of_any_name(
    tmp_path: Path, blocks: Blocks, save_nifti: Save
) -> None:
    folder = tmp_path / "Jörg O'Größe 肝臓 (1)" / ("long " * 30).strip()
    folder.mkdir(parents=True)
    from FlareMRCore.pipeline.engine import EngineOptions, open_engine

    model = random_model(folder / "gewichte ü")
    options = EngineOptions(weights=str(model), mode="fast", device="cpu", threads=1)
    engine = open_engine(options, SilentReporter())
    source = save_nifti(folder / "bild ñ.nii.gz", *blocks)
    for suffix in (".nii.gz", ".seg.nrrd"):
        output = segmented(source, engine, suffix)
        assert output.parent == folder
        assert output.stat().st_size > 0


def test_the_same_image_gives_the_same_bytes_with_two_threads(
    tmp_path: Path, blocks: Blocks, save_nifti: Save
) -> None:
    from FlareMRCore.weights.models import load_entry_from_path

    folder = random_model(tmp_path / "model")
    entry, _ = load_entry_from_path(folder)
    files = {file.name: folder / file.name for file in entry.files}
    volume = read_volume(save_nifti(tmp_path / "image.nii", *blocks))
    found = []
    for _ in range(2):
        model = load_model(entry, files, device="cpu")
        options = SegmentOptions(mode="fast", threads=2, confidence_map=True)
        result = segment(volume, model, options, SilentReporter())
        assert result.confidence is not None
        found.append(result.label_map.array.tobytes() + result.confidence.array.tobytes())
    is_same = found[0] == found[1]  # a text of their difference would take minutes
    assert is_same


def test_no_name_is_used_that_numpy_no_longer_has() -> None:
    missing = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno} np.{node.attr}"
        for folder in ("FlareMRCore", "FlareMRSeg", "FlareMRTrain", "Testing")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("np", "numpy")
        and not hasattr(np, node.attr)
    ]
    assert int(np.__version__.split(".")[0]) >= 2
    assert missing == []
