"""SegmentationLogic on real MRML: volume in, child process with the engine, segmentation out.

The networks are real ones with arbitrary weights, so the organs mean nothing, but everything
between the volume node and the segmentation node is what users run.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("torch", reason="needs torch, for the child process")
import slicer.util as slicer_util  # noqa: E402
from FlareMRSegLib.ChildProcess import ChildProcess, childEnvironment, engineCommand  # noqa: E402
from FlareMRSegLib.Job import JobResult  # noqa: E402
from FlareMRSegLib.JobRunner import JobRunner  # noqa: E402
from FlareMRSegLib.MrmlBridge import segmentIdsByOrgan  # noqa: E402
from FlareMRSegLib.MrmlGeometry import ijkToRas, segmentLabels  # noqa: E402
from FlareMRSegLib.Options import SegmentationOptions  # noqa: E402
from FlareMRSegLib.ResultTable import ResultTable  # noqa: E402
from FlareMRSegLib.SegmentationLogic import SegmentationLogic, SegmentationOutcome  # noqa: E402

from FlareMRCore.data.label_io import read_label_map  # noqa: E402
from FlareMRCore.data.labels import organ_table  # noqa: E402
from FlareMRCore.errors import UsageError  # noqa: E402

pytestmark = pytest.mark.torch
LONG_S = 120.0
SHAPE = (16, 24, 24)

MAKE_MODEL = """
import sys
from pathlib import Path
import torch
from FlareMRCore.networks.builders import build_network
from FlareMRCore.training.checkpoint import export_state
from FlareMRCore.training.model_description import ModelDescription
from FlareMRCore.training.model_folder import write_model_folder
torch.manual_seed(3)
folder = Path(sys.argv[1])
export_state(folder / "coarse.pt", build_network("flaremr-coarse").state_dict(), "flaremr-coarse")
write_model_folder((folder / "coarse.pt",), folder / "tiny", ModelDescription("tiny", "Tiny"))
"""


def run_child(command: list[str], **environment: str) -> str:
    """What a process writes, with one thread; the test fails if the process does."""
    child = launch(command, {**childEnvironment(), **environment})
    lines: list[str] = []
    while child.exitCode() is None or not child.outputEnded():
        lines += [text for _stream, text in child.takeLines(100)]
        time.sleep(0.05)
    lines += [text for _stream, text in child.takeLines(100)]
    child.close()
    assert child.exitCode() == 0, lines
    return "\n".join(lines)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an untrained coarse network, made by a child: torch stays out of here."""
    folder = tmp_path_factory.mktemp("model")
    assert run_child([sys.executable, "-c", MAKE_MODEL, str(folder)]) == ""
    return folder / "tiny"


NO_NETWORK = """
import socket
def refuse(*_arguments):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def launch(command: list[str], environment: Mapping[str, str]) -> ChildProcess:
    """Start the real engine with one thread."""
    return ChildProcess(command, {**environment, "OMP_NUM_THREADS": "1"})


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process nor its children get a connection; nothing here may need one."""

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_children_really_have_no_network() -> None:
    connect = "socket.create_connection(('localhost', 9))"
    code = f"import socket\ntry: {connect}\nexcept AssertionError: pass"
    run_child([sys.executable, "-c", code])


@pytest.fixture
def logic(scene: Any, tmp_path: Path) -> Iterator[SegmentationLogic]:
    root = tmp_path / "Zwischen ablage ü"
    root.mkdir()
    runner, tools = (JobRunner(launch, folderRoot=root) for _ in range(2))
    logic = SegmentationLogic(runner, tools=tools)
    yield logic
    logic.close()
    assert list(root.iterdir()) == []


@pytest.fixture
def options(model: Path) -> SegmentationOptions:
    return SegmentationOptions(mode="fast", device="cpu", weights=str(model), threads=1)


def add_volume(matrix: np.ndarray | None = None, seed: int = 0) -> Any:
    """A volume in which something is brighter than the rest."""
    generator = np.random.default_rng(seed)
    array = generator.normal(100, 20, SHAPE)
    array[4:12, 6:18, 6:18] += 300
    matrix = np.diag([8.0, 8.0, 10.0, 1.0]) if matrix is None else matrix
    return slicer_util.addVolumeFromArray(array.astype(np.int16), ijkToRAS=matrix, name="MR")


def outcome_of(result: Any) -> SegmentationOutcome:
    assert isinstance(result, JobResult)
    assert result.succeeded, f"{result.error}\n{result.log}"
    assert isinstance(result.value, SegmentationOutcome)
    return result.value


def merged(node: Any) -> np.ndarray:
    """Label values on the grid of the segmentation's shared label map."""
    labels = np.zeros(SHAPE, np.uint8)
    for organ, segment_id in segmentIdsByOrgan(node).items():
        voxels, _matrix = segmentLabels(node, segment_id)
        labels[voxels] = organ_table().by_id(organ).value
    return labels


def test_a_volume_becomes_a_segmentation(
    logic: SegmentationLogic, options: SegmentationOptions, tmp_path: Path
) -> None:
    stages: list[str] = []
    logic.runner.progress.connect(lambda stage, _fraction, _left: stages.append(stage))
    volume = add_volume()
    assert not logic.expectation(options, volume).isMeasured
    result = logic.segmentVolume(volume, None, options)
    outcome = outcome_of(result)
    node = slicer.mrmlScene.GetNodeByID(outcome.segmentationNodeId)
    assert list(segmentIdsByOrgan(node)) == [label.id for label in organ_table()]
    assert {"load", "read", "coarse", "upsample", "save"} <= set(stages)
    table = ResultTable.fromRecord(logic.bridge.recordOf(node) or {})
    voxel_ml = 8.0 * 8.0 * 10.0 / 1000
    labels = merged(node)
    for row in table.rows:
        assert row.volumeMl == pytest.approx((labels == row.value).sum() * voxel_ml, abs=0.01)
    assert labels.any(), "an untrained network still says something"
    assert node.GetAttribute("FlareMR.weights") == "tiny 1"
    after = logic.expectation(options, volume)
    assert after.isMeasured
    assert after.seconds == pytest.approx(max(1.0, result.seconds))


def test_the_result_is_that_of_the_command_line(
    logic: SegmentationLogic, options: SegmentationOptions, tmp_path: Path
) -> None:
    a = np.radians(20.0)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn[:, [2, 0, 1]] @ np.diag([8.0, -8.0, 10.0])
    matrix[:3, 3] = (11, -22, 33)
    volume = add_volume(matrix)
    outcome = outcome_of(logic.segmentVolume(volume, None, options))
    node = slicer.mrmlScene.GetNodeByID(outcome.segmentationNodeId)
    source, target = tmp_path / "volume.nrrd", tmp_path / "labels.seg.nrrd"
    logic.bridge.prepareInput(volume, source)
    words = ["segment", str(source), "-o", str(target), *options.arguments()]
    run_child(engineCommand(words))
    assert np.array_equal(read_label_map(target).array, merged(node))
    _voxels, found = segmentLabels(node, segmentIdsByOrgan(node)["liver"])
    assert np.array_equal(found, ijkToRas(volume))


def test_organs_output_and_region_are_respected(
    logic: SegmentationLogic, options: SegmentationOptions
) -> None:
    volume = add_volume()
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenterWorld(8 * 11.5, 8 * 11.5, 10 * 7.5)
    roi.SetSizeWorld(8 * 12, 8 * 12, 10 * 8)
    changed = SegmentationOptions.fromJson(options.toJson())
    changed = SegmentationOptions(
        **{**vars(changed), "organs": ("liver", "spleen"), "confidenceMap": True}
    )
    outcome = outcome_of(logic.segmentVolume(volume, output, changed, roi=roi))
    assert outcome.segmentationNodeId == output.GetID()
    assert list(segmentIdsByOrgan(output)) == ["liver", "spleen"]
    outside = merged(output)
    outside[4:12, 6:18, 6:18] = 0
    assert not outside.any()
    confidence = slicer.mrmlScene.GetNodeByID(outcome.confidenceNodeId)
    values = slicer_util.arrayFromVolume(confidence)
    assert values.shape == SHAPE
    assert np.array_equal(ijkToRas(confidence), ijkToRas(volume))
    assert 0 < values.min() < values.max() <= 1
    assert (values[:4] == 1).all(), "outside of the region nothing was in doubt"


def test_closing_the_scene_during_a_run_is_told_not_crashed(
    logic: SegmentationLogic, options: SegmentationOptions
) -> None:
    job_id = logic.segmentVolume(add_volume(), None, options, wait=False)
    assert isinstance(job_id, int)
    slicer.mrmlScene.Clear(True)
    result = logic.runner.wait(job_id, LONG_S)
    assert result is not None
    assert result.error is not None
    assert result.error.code == "input.removed"
    assert result.folder is not None
    for path in result.folder.iterdir():
        path.unlink()
    result.folder.rmdir()


def test_a_wrong_start_says_why(logic: SegmentationLogic) -> None:
    options = SegmentationOptions(organs=(), weights="no/such/folder")
    reasons = logic.reasonsNotToRun(None, None, options)
    assert len(reasons) == 3
    with pytest.raises(UsageError, match="input volume"):
        logic.segmentVolume(None, None, options)
    assert logic.reasonsNotToRun(add_volume(), None, SegmentationOptions()) == ()


def test_missing_weights_end_in_their_error(logic: SegmentationLogic) -> None:
    options = SegmentationOptions(weights="no-such-weights", device="cpu")
    result = logic.segmentVolume(add_volume(), None, options)
    assert isinstance(result, JobResult)
    assert result.error is not None
    assert result.error.code.startswith("weights.")
    assert result.exitCode == 4
    assert result.folder is not None
    for path in result.folder.iterdir():
        path.unlink()
    result.folder.rmdir()


def test_devices_come_from_a_child(logic: SegmentationLogic) -> None:
    told: list[Any] = []
    logic.devicesChanged.connect(told.append)
    logic.requestDevices()
    logic.tools.wait(None, LONG_S)
    assert told
    assert "cpu" in {device.name for device in logic.devices}
    assert all(device.freeBytes > 0 for device in logic.devices)
    assert "GB" in logic.devices[0].label


def test_a_file_becomes_a_file(
    logic: SegmentationLogic, options: SegmentationOptions, tmp_path: Path
) -> None:
    source, target = tmp_path / "Bäuche 1.nrrd", tmp_path / "neu" / "Bäuche 1.seg.nrrd"
    logic.bridge.prepareInput(add_volume(), source)
    result = logic.runner.wait(logic.runner.start(logic.fileJob(source, target, options)), LONG_S)
    assert result is not None
    assert result.succeeded, result.log
    assert target.is_file()
    assert [organ["id"] for organ in result.value["organs"]] == list(options.wantedOrgans())


def test_every_frame_of_a_sequence_is_segmented(
    logic: SegmentationLogic, options: SegmentationOptions
) -> None:
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "MR series")
    sequence.SetIndexName("time")
    frames = [add_volume(seed=seed) for seed in range(2)]
    for number, frame in enumerate(frames):
        sequence.SetDataNodeAtValue(frame, str(number))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    sequences = slicer.modules.sequences.logic()
    sequences.UpdateProxyNodesFromSequences(browser)
    volume = browser.GetProxyNode(sequence)
    outcome = outcome_of(logic.segmentSequence(volume, options))
    node = scene.GetNodeByID(outcome.segmentationNodeId)
    result = scene.GetNodeByID(outcome.sequenceNodeId)
    assert result.GetNumberOfDataNodes() == 2
    assert result.GetIndexName() == "time"
    assert browser.GetProxyNode(result) is node
    shown = []
    for number in range(2):
        browser.SetSelectedItemNumber(number)
        sequences.UpdateProxyNodesFromSequences(browser)
        shown.append(merged(node))
        assert np.array_equal(shown[-1], merged(result.GetNthDataNode(number)))
    assert not np.array_equal(*shown), "each frame has its own segmentation"
    with pytest.raises(UsageError, match="sequence"):
        logic.segmentSequence(add_volume(), options)


def test_slicer_s_own_process_never_loads_torch(logic: SegmentationLogic) -> None:
    code = (
        "import sys, pkgutil, importlib\n"
        "for name in ('cc3d', 'ants', 'PIL'): sys.modules[name] = None\n"  # before the setup
        "import FlareMRSegLib\n"
        "for module in pkgutil.iter_modules(FlareMRSegLib.__path__):\n"
        "    try: importlib.import_module('FlareMRSegLib.' + module.name)\n"
        "    except ModuleNotFoundError as e:\n"
        "        assert e.name.split('.')[0] in ('qt', 'ctk', 'slicer', 'vtk'), e\n"
        "    except ImportError as e:\n"
        "        assert 'slicer' in str(e), e\n"
        "assert 'torch' not in sys.modules\n"
    )
    run_child([sys.executable, "-c", code], PYTHONPATH=os.pathsep.join(sys.path))
