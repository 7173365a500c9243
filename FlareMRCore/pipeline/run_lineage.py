"""What the artifacts of a run were made from, as their records tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from FlareMRCore.pipeline.artifacts import digest_of, read_artifact
from FlareMRCore.pipeline.run_reading import RunReading, StageReading

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Records of the artifacts of a run.

    Attributes:
        records: by key, in order of the stages.
        makers: key of the artifact that first had this content, by digest: of an artifact, or of
            a case that it holds.
        cases: these cases, by digest.
    """

    records: Mapping[str, Record]
    makers: Mapping[str, str]
    cases: Mapping[str, Record]

    def upstream(self, keys: Iterable[str]) -> tuple[Record, ...]:
        """Records of these artifacts and of all that they were made from, in order of the run."""
        found: set[str] = set()
        todo = list(keys)
        while todo:
            key = todo.pop()
            if key in found or key not in self.records:
                continue
            found.add(key)
            digests = [d for slot in self.records[key]["inputs"].values() for d in slot]
            todo += [self.makers[digest] for digest in digests if digest in self.makers]
        return tuple(record for key, record in self.records.items() if key in found)


def read_lineage(run: RunReading) -> Lineage:
    """The records of all artifacts of `run` that are in the store.

    Raises:
        DatasetError: a record is damaged.
    """
    records = {key: record for stage in run.stages for key, record in stage_records(stage).items()}
    makers: dict[str, str] = {}
    cases: dict[str, Record] = {}
    for key, record in records.items():
        held = {digest_of(case): case for case in record["cases"]}
        cases.update(held)
        for digest in (record["digest"], *held):
            makers.setdefault(digest, key)
    return Lineage(records, makers, cases)


def stage_records(stage: StageReading) -> dict[str, Record]:
    """Records of the artifacts of a stage, by key.

    Raises:
        DatasetError: a record is damaged.
    """
    return {folder.name: read_artifact(folder).record for folder in stage.folders}


def minutes_of(records: Iterable[Record]) -> float:
    """Minutes that making these artifacts took, wherever and whenever that was."""
    return sum(float(record["duration_s"]) for record in records) / 60
