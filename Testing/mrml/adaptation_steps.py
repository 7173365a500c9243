"""What people do in FlareMRTrain from images to weights; driven here and in a real Slicer.

Only what Slicer brings is imported. A very small network is trained really; nothing is said about
accuracy.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.pipeline.run_reading import RunReading, runs_of

SPACING_MM = 16.0
STEPS = 12
TRAINING = """
builder = "flaremr-coarse"
learning_rate = 3e-3
checkpoint_every = 3
[stage.sampling]
spacing_mm = 16.0
shapes = [[16, 16, 16]]
shape_shares = [1.0]
contrast_shares = [1.0, 0.0, 0.0]
"""
TINY = f"""
name = "tiny"
title = "Tiny"
description = "Two rounds of a very small network; people decide about the labels between them."

[[stage]]
id = "pack"
use = "pack"
input = "dataset"
where = {{ domain = "source" }}
spacing_mm = 16.0

[[stage]]
id = "train-1"
use = "train-segmentation"
inputs = {{ packs = "pack" }}
steps = 400
{TRAINING}
[[stage]]
id = "model-1"
use = "export-weights"
inputs = {{ networks = ["train-1"] }}
model_id = "tiny-1"
title = "Tiny, first round"

[[stage]]
id = "pseudo"
use = "segment"
inputs = {{ cases = "dataset", model = "model-1" }}
where = {{ domain = "target" }}
mode = "fast"

[[stage]]
id = "reviewed"
use = "apply-review"
inputs = {{ cases = ["pseudo"] }}

[[stage]]
id = "pack-2"
use = "pack"
inputs = {{ cases = ["dataset", "reviewed"] }}
where = {{ labeled = true }}
spacing_mm = 16.0

[[stage]]
id = "train-2"
use = "train-segmentation"
inputs = {{ packs = "pack-2", initial = "train-1" }}
steps = 4
{TRAINING}
[[stage]]
id = "model-2"
use = "export-weights"
inputs = {{ networks = ["train-2"] }}
model_id = "tiny-2"
title = "Tiny, second round"
"""
RUN_TIMEOUT_S = 400.0
REJECTED, CORRECTED = "person2", "person3"

Wait = Callable[[Callable[[], Any], str, float], None]


@dataclass
class Steps:
    """The steps, in their order.

    Attributes:
        panels: of FlareMRTrain, with dialogs that agree.
        folder: an empty folder for everything.
        wait: lets the application work until a condition holds.
        timeout_s: for everything that takes long.
    """

    panels: Any
    folder: Path
    wait: Wait
    timeout_s: float = RUN_TIMEOUT_S

    def prepare(self) -> None:
        """Choose the store and what costs least."""
        self.panels.session.chooseStore(self.folder / "store")
        node = self.panels.session.parameterNode
        node.device, node.threads = "cpu", 1

    def import_cohort(self) -> None:
        """Make a data set of two people in CT with labels and two in MR without, and check it."""
        cohort = self.folder / "cohort"
        write_cohort(cohort)
        panel = self._open("Dataset")
        assert panel.importFolder(cohort)
        self.commands()
        assert len(panel.cases) == 4
        assert panel.check()
        self.commands()
        assert panel.sheet.is_file()

    def choose_recipe(self) -> None:
        """Take a recipe and save it with fewer steps, as one does with a published one."""
        path = self.folder / "tiny.toml"
        path.write_text(TINY, encoding="utf-8")
        panel = self._open("Recipe")
        panel.openFile(path)
        self.commands()
        panel.table.changes["train-1", "steps"] = str(STEPS)
        assert panel.save(self.folder / "mine.toml")
        self.commands()
        assert self.panels.session.parameterNode.recipe == str(self.folder / "mine.toml")

    def start(self) -> None:
        """Start the recipe; whatever is in the store is used."""
        panel = self._open("Run")
        assert panel.start(), panel.reason()
        self.commands()

    def kill_in_training(self) -> None:
        """End the process from outside once a training has written a checkpoint."""
        self.wait(self._has_checkpoint, "a checkpoint", self.timeout_s)
        end_processes(self.folder / "store")
        self.wait(lambda: self.run().state == "interrupted", "the kill to be seen", 60.0)

    def resume(self) -> None:
        """Go on with the run that is shown."""
        assert self._open("Run").resume()
        self.commands()

    def finish(self) -> RunReading:
        """Wait for the end of the run, which must be a good one."""
        self.wait(lambda: self.run().state != "running", "the end of the run", self.timeout_s)
        run = self.run()
        assert run.state == "done", run.error
        return run

    def queue(self) -> list[str]:
        """Cases whose pseudo-labels wait for a review."""
        panel = self._open("Review")
        self.commands()
        return [str(item["case"]) for item in panel.items]

    def reject(self, case: str) -> None:
        """Reject the pseudo-label of a case."""
        panel = self._open("Review")
        assert panel.load(self._row(case))
        assert panel.reject()
        self.commands()

    def correct(self, case: str, labels: np.ndarray) -> None:
        """Put `labels` in the place of the pseudo-label of a case."""
        panel = self._open("Review")
        assert panel.load(self._row(case))
        paint(panel.scene.segmentation(case), panel.scene.image(case), labels)
        assert panel.correct()
        self.commands()

    def run(self) -> RunReading:
        """The run that is shown, as its files are now."""
        self.panels.refresh()
        run = self.panels.run
        assert isinstance(run, RunReading)
        return run

    def commands(self) -> None:
        """Wait until no command runs."""
        self.wait(lambda: not self.panels.session.isBusy(), "commands", self.timeout_s)

    def _open(self, name: str) -> Any:
        self.panels.openTab(name)
        self.commands()
        return self.panels.panels[name]

    def _row(self, case: str) -> int:
        items = self.panels.panels["Review"].items
        return next(number for number, item in enumerate(items) if item["case"] == case)

    def _has_checkpoint(self) -> bool:
        run = self.run()
        assert run.state == "running", run.error
        return any((run.store / "work").glob("*/checkpoint.pt")) and run.pulse is not None


def write_cohort(folder: Path) -> None:
    """Two people in CT with labels, two in MR without."""
    folder.mkdir()
    grid = phantom_geometry((SPACING_MM,) * 3)
    for seed in range(2):
        volume, labels = make_phantom(seed, "ct", geometry=grid)
        write_volume(folder / f"person{seed}_ct.nii.gz", volume)
        write_label_map(folder / f"person{seed}_label.nii.gz", labels)
    for seed in (2, 3):
        write_volume(folder / f"person{seed}_mr.nii.gz", person(seed)[0])


def person(seed: int, sequence: str = "t2_fs") -> tuple[Any, np.ndarray]:
    """The image of a person and the true labels (K, J, I)."""
    grid = phantom_geometry((SPACING_MM,) * 3)
    volume, labels = make_phantom(seed, sequence, geometry=grid)
    return volume, labels.array


def paint(segmentation: Any, volume: Any, labels: np.ndarray) -> None:
    """Make the segments of all organs those of `labels`, on the grid of `volume`."""
    from FlareMRSegLib.MrmlBridge import fillSegments
    from FlareMRSegLib.MrmlGeometry import ijkToRas, orientedImage

    image = orientedImage(labels, ijkToRas(volume))
    fillSegments(segmentation.GetSegmentation(), image, list(organ_table()))


def made_cases(run: RunReading, stage_id: str) -> dict[str, dict[str, Any]]:
    """Records of the cases that a stage has made, by id."""
    stage = run.stage(stage_id)
    assert stage is not None
    records = [json.loads((f / "artifact.json").read_text("utf-8")) for f in stage.folders]
    return {case["id"]: case for record in records for case in record["cases"]}


def label_file(run: RunReading, stage_id: str, case: str) -> Path:
    """The label map that a stage has written for a case."""
    stage = run.stage(stage_id)
    assert stage is not None
    (folder,) = stage.folders
    outputs = json.loads((folder / "artifact.json").read_text("utf-8"))["outputs"]
    wanted = made_cases(run, stage_id)[case]["label_map"]
    return folder / next(name for name, sha256 in outputs.items() if sha256 == wanted)


def end_processes(store: Path) -> None:
    """Kill every run of the store."""
    for run in runs_of(store):
        if run.state == "running" and run.pulse is not None:
            os.kill(run.pulse.pid, signal.SIGKILL)
