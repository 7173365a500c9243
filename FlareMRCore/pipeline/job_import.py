"""The results of a job that ran elsewhere, as if it had run here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.errors import UsageError, reason_of
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifact_transfer import Transfer, transfer_artifacts
from FlareMRCore.pipeline.job_export import JOB_FORMAT, JOB_NAME, STORE_NAME
from FlareMRCore.pipeline.run_log import LOG_NAME, RUN_NAME
from FlareMRCore.progress import Reporter


@dataclass(frozen=True, slots=True)
class ImportedJob:
    """What came into the store.

    Attributes:
        recipe: name of the recipe.
        preset: of the recipe.
        artifacts: which are new, were there, or differ.
        runs: folders of runs in the store, new ones and those that had been imported before.
    """

    recipe: str
    preset: str
    artifacts: Transfer
    runs: tuple[Path, ...]


def import_job(folder: Path, store: ArtifactStore, reporter: Reporter) -> ImportedJob:
    """Take the artifacts and runs of the job in `folder` over; it may still be unfinished.

    Runs appear under the recipe, preset and profile they were exported with. Artifacts that are
    here stay as they are, also if those of the job differ, which a warning tells.

    Raises:
        UsageError: the folder is no job, or nothing has run there.
        DatasetError: lists artifacts that are damaged; then nothing is taken over.
    """
    job = _job(folder)
    source = ArtifactStore(folder / STORE_NAME)
    folders = [source.folder_of(key) for key in source.all_keys()]
    paths = sorted((source.root / "runs").glob(f"*/{RUN_NAME}"))
    if not paths:
        raise UsageError(
            f"The job in '{folder}' has not run: there is no run in its store.",
            code="job.not-run",
            hint="Start its run.sh or submit.sbatch first.",
        )
    transfer = transfer_artifacts(folders, store, reporter)
    if transfer.different:
        reporter.message(
            f"{len(transfer.different)} artifacts were made here with another result, e.g. on "
            "another device; those here stay.",
            level="warning",
        )
    runs = tuple(_import_run(path.parent, job, store) for path in paths)
    return ImportedJob(job["recipe"], job["preset"], transfer, runs)


def _job(folder: Path) -> Mapping[str, Any]:
    path = folder / JOB_NAME
    try:
        job: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if job["format"] != JOB_FORMAT:
            raise ValueError(f"format {job['format']} is unknown, expected {JOB_FORMAT}")
        _ = [job[key] for key in ("recipe", "preset", "profile")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"'{folder}' is no exported job: {path.name} cannot be used ({reason_of(error)}).",
            code="job.record",
            hint="Give the folder that 'recipe export-job' wrote.",
        ) from error
    return job


def _import_run(folder: Path, job: Mapping[str, Any], store: ArtifactStore) -> Path:
    """Copy what tells about the run; the words that start it again do not hold here."""
    target = store.root / "runs" / folder.name
    if target.exists():
        return target
    content = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    content |= {key: job[key] for key in ("recipe", "preset", "profile")}
    content["words"] = []
    with store.writing() as part:
        if (folder / LOG_NAME).is_file():
            shutil.copyfile(folder / LOG_NAME, part / LOG_NAME)
        write_json_atomically(part / RUN_NAME, content)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.rename(target)
    return target
