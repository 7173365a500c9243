"""BatchQueue: rows, states, retry, resume, CSV and its file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from FlareMRSegLib.BatchQueue import (
    CANCELLED,
    DONE,
    FAILED,
    NODE,
    RUNNING,
    WAITING,
    BatchQueue,
)
from FlareMRSegLib.NrrdFile import writeNrrd

from FlareMRCore.errors import InputError


@pytest.fixture
def queue() -> BatchQueue:
    return BatchQueue()


def add(queue: BatchQueue, *names: str) -> None:
    queue.addFiles([Path(name) for name in names], Path("results"))


def test_rows_run_in_order(queue: BatchQueue) -> None:
    add(queue, "a.nii.gz", "b.nrrd")
    first = queue.next()
    assert first is not None
    assert (first.name, first.state, Path(first.output).name) == ("a", WAITING, "a.seg.nrrd")
    queue.setState(first.id, RUNNING)
    second = queue.next()
    assert second is not None
    assert second.name == "b"
    queue.setState(second.id, DONE, seconds=1.5)
    assert queue.next() is None
    assert queue.counts() == {WAITING: 0, RUNNING: 1, DONE: 1, FAILED: 0, CANCELLED: 0}


def test_a_file_is_added_once_and_names_are_unique(queue: BatchQueue) -> None:
    add(queue, "x/a.nii.gz", "y/A.nrrd", "x/a.nii.gz")
    add(queue, "x/a.nii.gz")
    assert [row.name for row in queue.rows] == ["a", "A_2"]
    assert len({row.output.lower() for row in queue.rows}) == 2


def test_volumes_of_the_scene(queue: BatchQueue) -> None:
    row = queue.addVolume("vtkMRMLScalarVolumeNode1", "MR")
    assert row is not None
    assert (row.kind, row.output) == (NODE, "")
    assert queue.addVolume("vtkMRMLScalarVolumeNode1", "MR") is None


def test_a_folder_gives_its_images_but_not_its_results(queue: BatchQueue, tmp_path: Path) -> None:
    for name in ("b.nrrd", "a ä.nrrd", "a ä.seg.nrrd"):
        writeNrrd(tmp_path / name, np.zeros((3, 4, 5), np.int16), np.eye(4))
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    queue.addFolder(tmp_path, tmp_path)
    assert [row.name for row in queue.rows] == ["a ä", "b"]


def test_an_empty_folder_is_told(queue: BatchQueue, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        queue.addFolder(tmp_path, tmp_path)


def test_failed_rows_can_be_retried(queue: BatchQueue) -> None:
    add(queue, "a.nrrd", "b.nrrd", "c.nrrd")
    for row, state in zip(queue.rows, (DONE, FAILED, CANCELLED), strict=True):
        queue.setState(row.id, state, message="why")
    assert queue.retryFailed() == 2
    assert [row.state for row in queue.rows] == [DONE, WAITING, WAITING]
    assert [row.message for row in queue.rows] == ["why", "", ""]


def test_resume_does_again_what_is_not_there(queue: BatchQueue, tmp_path: Path) -> None:
    queue.addFiles([Path(f"{name}.nrrd") for name in "abcd"], tmp_path)
    states = (DONE, DONE, RUNNING, WAITING)
    for row, state in zip(queue.rows, states, strict=True):
        queue.setState(row.id, state)
    Path(queue.rows[0].output).write_text("segmented", encoding="utf-8")
    assert queue.resume() == 2
    assert [row.state for row in queue.rows] == [DONE, WAITING, WAITING, WAITING]


def test_the_running_row_cannot_be_removed(queue: BatchQueue) -> None:
    add(queue, "a.nrrd", "b.nrrd")
    first, second = queue.rows
    queue.setState(first.id, RUNNING)
    queue.remove([first.id, second.id, 99])
    assert queue.rows == (queue.row(first.id),)
    queue.setState(second.id, DONE)  # a result that comes too late changes nothing
    assert len(queue.rows) == 1


def test_an_unknown_state_is_refused(queue: BatchQueue) -> None:
    add(queue, "a.nrrd")
    with pytest.raises(ValueError, match="no state"):
        queue.setState(queue.rows[0].id, "finished")


def test_csv_has_every_row(queue: BatchQueue) -> None:
    add(queue, "a, b.nrrd", "c.nrrd")
    queue.setState(queue.rows[0].id, FAILED, message='it said "no"', seconds=12.34)
    rows = list(csv.DictReader(io.StringIO(queue.toCsv())))
    assert [row["name"] for row in rows] == ["a, b", "c"]
    assert (rows[0]["seconds"], rows[0]["message"]) == ("12.3", 'it said "no"')
    assert rows[1]["seconds"] == ""


def test_a_batch_survives_its_file(queue: BatchQueue, tmp_path: Path) -> None:
    add(queue, "ä.nrrd", "b.nrrd")
    queue.setState(queue.rows[0].id, DONE, seconds=3.0)
    queue.save(tmp_path / "batch.json")
    other = BatchQueue()
    other.load(tmp_path / "batch.json")
    assert other.rows == queue.rows
    add(other, "c.nrrd")
    assert len({row.id for row in other.rows}) == 3
    (tmp_path / "bad.json").write_text('{"format": "else"}', encoding="utf-8")
    with pytest.raises(InputError):
        other.load(tmp_path / "bad.json")


def test_changes_are_told(queue: BatchQueue) -> None:
    told: list[int] = []
    queue.changed.connect(lambda: told.append(1))
    add(queue, "a.nrrd")
    queue.setState(queue.rows[0].id, DONE)
    queue.remove([queue.rows[0].id])
    assert len(told) == 3
