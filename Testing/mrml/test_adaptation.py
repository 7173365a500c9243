"""From a folder of phantoms to weights that FlareMRSeg uses, through the tabs of FlareMRTrain.

Real MRML, real training in processes of their own; only Slicer's widgets are stand-ins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the package slicer-core")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6", exc_type=ImportError)
import slicer
import slicer.util

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.pipeline.run_reading import RunReading
from Testing.mrml.adaptation_steps import (
    CORRECTED,
    REJECTED,
    Steps,
    end_processes,
    label_file,
    made_cases,
    person,
)
from Testing.mrml.train_panels import InProcess, train_panels, wait_until


@pytest.fixture
def steps(
    application: Any, scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Steps]:
    # Slice views exist in the application only.
    monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **_layers: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with train_panels(application, tmp_path / "store", InProcess) as panels:
        found = Steps(panels, tmp_path, wait_until)
        found.prepare()
        yield found
        end_processes(tmp_path / "store")


@pytest.mark.torch
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_from_a_folder_to_weights_in_flaremrseg(steps: Steps, tmp_path: Path) -> None:
    seen: set[tuple[str, int]] = set()

    def remember(run: RunReading | None) -> None:
        if run is not None and run.pulse is not None:
            seen.add((run.pulse.stage, run.pulse.done))

    steps.panels.refreshed.connect(remember)
    steps.import_cohort()
    steps.choose_recipe()
    steps.start()
    steps.kill_in_training()
    steps.resume()
    first = steps.finish()
    # How many steps are seen depends on the computer's speed; that the training is seen does not.
    assert "train-1" in {stage for stage, _ in seen}
    assert len(seen) > 2
    assert made_cases(first, "reviewed")[REJECTED]["label_source"] == "predicted"
    truth = person(3)[1]
    assert set(steps.queue()) == {REJECTED, CORRECTED}
    steps.reject(REJECTED)
    steps.correct(CORRECTED, truth)
    steps.start()
    second = steps.finish()
    check_next_round(first, second, truth)
    segment_unseen(second, tmp_path, "tiny-2")


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("name", "labels", "review"),
    [("contrast-randomized", "", ""), ("he2024", "filtered-3a", "pseudo-3a")],
)
def test_recipes_go_the_same_way(
    name: str, labels: str, review: str, steps: Steps, tmp_path: Path
) -> None:
    """At their size mini, with the phantoms that they make themselves: minutes to an hour."""
    steps.timeout_s = 7200.0
    steps.panels.panels["Recipe"].choose(name, preset="mini")
    steps.start()
    steps.kill_in_training()
    steps.resume()
    run = steps.finish()
    if review:
        run = review_two(steps, labels, review)
    segment_unseen(run, tmp_path, "")


def review_two(steps: Steps, stage: str, review: str) -> RunReading:
    """Reject one pseudo-label of a stage, correct another one; the run that honors that."""
    steps.queue()
    panel = steps.panels.panels["Review"]
    panel.stage = stage
    panel.list.read()
    rejected, corrected = steps.queue()[:2]
    assert panel.stage == stage
    steps.reject(rejected)
    panel.load(next(n for n, item in enumerate(panel.items) if item["case"] == corrected))
    shape = slicer.util.arrayFromVolume(panel.scene.image(corrected)).shape
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(n // 3, n // 2) for n in shape)] = 1
    steps.correct(corrected, labels)
    steps.start()
    second = steps.finish()
    made = made_cases(second, review)
    assert made[rejected]["label_map"] is None
    assert made[corrected]["label_source"] == "corrected"
    assert {stage.state for stage in second.stages} == {"cached", "done"}
    return second


def check_next_round(first: RunReading, second: RunReading, truth: np.ndarray) -> None:
    """The next round trains on what people decided, and on nothing else."""
    states = {stage.id: stage.state for stage in second.stages}
    assert (states["train-1"], states["pseudo"]) == ("cached", "cached")
    assert (states["reviewed"], states["train-2"], states["model-2"]) == ("done",) * 3
    reviewed = made_cases(second, "reviewed")
    assert reviewed[REJECTED]["label_map"] is None
    assert reviewed[CORRECTED]["label_source"] == "corrected"
    packs = [stage.folders[0] for run in (first, second) if (stage := run.stage("pack-2"))]
    assert [bool(list(folder.glob(f"{REJECTED}*"))) for folder in packs] == [True, False]
    corrected = read_label_map(label_file(second, "reviewed", CORRECTED))
    assert np.array_equal(corrected.array, truth)


def segment_unseen(run: RunReading, folder: Path, weights_id: str) -> None:
    """FlareMRSeg takes the weights of the run as they are."""
    from FlareMRSegLib.JobRunner import JobRunner
    from FlareMRSegLib.Options import SegmentationOptions
    from FlareMRSegLib.SegmentationLogic import SegmentationLogic
    from FlareMRTrainLib.TrainScene import addVolume

    model = run.making("model")[-1]
    write_volume(folder / "unseen.nii.gz", person(9, "venous")[0])
    node = addVolume(folder / "unseen.nii.gz", "unseen")
    logic = SegmentationLogic(JobRunner(), tools=JobRunner())
    try:
        options = SegmentationOptions(
            mode="fast", device="cpu", weights=str(model.folders[0]), show3d=False
        )
        result = logic.segmentVolume(node, None, options, wait=True)
    finally:
        logic.close()
    assert result.error is None, result.error
    assert result.value.record["report"]["weights_id"].endswith(weights_id)
    segmentation = slicer.mrmlScene.GetNodeByID(result.value.segmentationNodeId)
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 13
