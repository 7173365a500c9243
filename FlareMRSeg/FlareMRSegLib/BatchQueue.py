"""The rows of the tab Batch and their states; pure logic, knows neither nodes nor processes."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.volume_io import IMAGE_SUFFIXES
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.segment_case import case_name
from FlareMRSegLib.Signal import Signal

WAITING = "waiting"
RUNNING = "running"
DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED)

FILE = "file"
NODE = "node"
FORMAT = "flaremr-batch-1"
OUTPUT_SUFFIX = ".seg.nrrd"
COLUMNS = ("name", "kind", "source", "output", "state", "seconds", "message")


@dataclass(frozen=True)
class BatchRow:
    """One image of a batch.

    Attributes:
        id: number that stays the same while rows come and go.
        kind: `FILE` or `NODE`.
        source: path of the image or of its DICOM folder, or identifier of a volume node.
        name: what people read; unique in the batch.
        output: path of the segmentation; empty for a node, whose result stays in the scene.
        state: one of `STATES`.
        message: why it failed, or what was special.
        seconds: how long it took.
    """

    id: int
    kind: str
    source: str
    name: str
    output: str = ""
    state: str = WAITING
    message: str = ""
    seconds: float | None = None


class BatchQueue:
    """Rows in the order in which they run. Signal: `changed` ()."""

    def __init__(self) -> None:
        self.changed = Signal("")
        self._rows: dict[int, BatchRow] = {}
        self._nextId = 1

    @property
    def rows(self) -> tuple[BatchRow, ...]:
        """All rows in order."""
        return tuple(self._rows.values())

    def row(self, rowId: int) -> BatchRow | None:
        """The row with this number, if it is still there."""
        return self._rows.get(rowId)

    def addFiles(self, paths: Iterable[Path], outputFolder: Path) -> tuple[BatchRow, ...]:
        """Add images, or folders with a DICOM series; those already in the batch are left out."""
        known = {row.source for row in self.rows}
        added = []
        for path in paths:
            source = str(Path(path).absolute())
            if source not in known:
                known.add(source)
                name = self._uniqueName(case_name(Path(path)))
                output = str(outputFolder / f"{name}{OUTPUT_SUFFIX}")
                added.append(self._add(FILE, source, name, output))
        self.changed.emit()
        return tuple(added)

    def addFolder(self, folder: Path, outputFolder: Path) -> tuple[BatchRow, ...]:
        """Add the images in a folder, and the folders below it that hold a DICOM series.

        Raises:
            InputError: there is nothing to segment in it.
        """
        from FlareMRCore.pipeline.inputs import find_inputs

        cases = find_inputs([folder], frame=0).cases
        # Results of an earlier batch may lie in the same folder.
        paths = dict.fromkeys(case.path for case in cases if not _isResult(case.path))
        if not paths:
            raise InputError(
                f"The folder '{folder}' holds no images ({', '.join(IMAGE_SUFFIXES)} or DICOM).",
                code="input.no-images",
            )
        return self.addFiles(paths, outputFolder)

    def addVolume(self, nodeId: str, name: str) -> BatchRow | None:
        """Add a volume of the scene; None if it is in the batch already."""
        if any(row.source == nodeId for row in self.rows):
            return None
        row = self._add(NODE, nodeId, self._uniqueName(name), "")
        self.changed.emit()
        return row

    def remove(self, rowIds: Iterable[int]) -> None:
        """Take rows out; the one that runs stays."""
        for rowId in tuple(rowIds):
            row = self._rows.get(rowId)
            if row is not None and row.state != RUNNING:
                del self._rows[rowId]
        self.changed.emit()

    def clear(self) -> None:
        """Take out all rows but the one that runs."""
        self.remove(tuple(self._rows))

    def next(self) -> BatchRow | None:
        """The first row that waits."""
        return next((row for row in self.rows if row.state == WAITING), None)

    def setState(
        self, rowId: int, state: str, *, message: str = "", seconds: float | None = None
    ) -> None:
        """Note how far a row is; nothing happens if it was taken out meanwhile."""
        if state not in STATES:
            raise ValueError(f"There is no state '{state}'; known: {', '.join(STATES)}.")
        row = self._rows.get(rowId)
        if row is not None:
            self._rows[rowId] = replace(row, state=state, message=message, seconds=seconds)
            self.changed.emit()

    def retryFailed(self) -> int:
        """Let the rows that failed or were cancelled wait again; how many."""
        return self._waitAgain((FAILED, CANCELLED))

    def resume(self) -> int:
        """After an interruption: let wait what is not done, or whose output is gone; how many."""
        for row in self.rows:
            if row.state == DONE and row.kind == FILE and not Path(row.output).is_file():
                self._rows[row.id] = replace(row, state=FAILED)
        return self._waitAgain((FAILED, CANCELLED, RUNNING))

    def counts(self) -> dict[str, int]:
        """How many rows are in each state."""
        return {state: sum(row.state == state for row in self.rows) for state in STATES}

    def toCsv(self) -> str:
        """The batch as a table."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in self.rows:
            fields = asdict(row)
            fields["seconds"] = "" if row.seconds is None else f"{row.seconds:.1f}"
            writer.writerow(fields)
        return stream.getvalue()

    def save(self, path: Path) -> None:
        """Write the batch as JSON, so that `load` can go on with it."""
        content = {"format": FORMAT, "rows": [asdict(row) for row in self.rows]}
        write_text_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def load(self, path: Path) -> None:
        """Take over the rows in a file written by `save` instead of those here.

        Raises:
            InputError: it is no such file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(content["format"])
            rows = [BatchRow(**fields) for fields in content["rows"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"'{path}' is not a saved batch ({type(error).__name__}).", code="input.batch"
            ) from error
        self._rows = {row.id: row for row in rows}
        self._nextId = max(self._rows, default=0) + 1
        self.changed.emit()

    def _add(self, kind: str, source: str, name: str, output: str) -> BatchRow:
        row = BatchRow(self._nextId, kind, source, name, output)
        self._rows[row.id] = row
        self._nextId += 1
        return row

    def _uniqueName(self, name: str) -> str:
        # Names become file names, which some systems compare without regard to case.
        taken = {row.name.lower() for row in self.rows}
        candidate, number = name, 2
        while candidate.lower() in taken:
            candidate, number = f"{name}_{number}", number + 1
        return candidate

    def _waitAgain(self, states: tuple[str, ...]) -> int:
        chosen: list[Any] = [row for row in self.rows if row.state in states]
        for row in chosen:
            self._rows[row.id] = replace(row, state=WAITING, message="", seconds=None)
        self.changed.emit()
        return len(chosen)


def _isResult(path: Path) -> bool:
    return path.name.lower().endswith(OUTPUT_SUFFIX)
