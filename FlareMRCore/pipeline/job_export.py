"""A run of a recipe as a folder of its own, for another computer; and back into the store.

recipe.toml             as the preset and profile have it
data/dataset.json       manifest with relative paths; the images beside it if they were copied
run.sh, submit.sbatch   one machine with torchrun; a SLURM cluster
store/                  finished artifacts and reviews to start from; receives what is made
job.json                which run this is
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from FlareMRCore import __version__
from FlareMRCore.data.atomic_file import write_json_atomically, write_text_atomically
from FlareMRCore.data.dataset import Case, Dataset, StoredFile
from FlareMRCore.data.dataset_manifest import save_dataset
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifact_transfer import Transfer, transfer_artifacts
from FlareMRCore.pipeline.file_digests import FileDigests
from FlareMRCore.pipeline.output_paths import require_empty
from FlareMRCore.pipeline.provenance import git_commit
from FlareMRCore.pipeline.recipe import Recipe
from FlareMRCore.pipeline.recipe_writing import save_recipe
from FlareMRCore.pipeline.review_decisions import REVIEWS
from FlareMRCore.pipeline.run_log import past_runs, run_keys
from FlareMRCore.pipeline.stage import Stage
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.progress import Reporter

JOB_FORMAT = 1
JOB_NAME, RECIPE_NAME, STORE_NAME = "job.json", "recipe.toml", "store"
MANIFEST_NAME = "data/dataset.json"
TRAIN_COMMAND = (
    "-m FlareMRCore train fit <configuration>.toml --pack <folder of the pack> \\\n"
    '  --output runs/"$SLURM_JOB_NAME"'
)
"""What slurm.txt starts, which a job replaces."""
ENVIRONMENT = "<path of the virtual environment>"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What goes into the folder of a job.

    Attributes:
        copy_images: images and label maps of the dataset; else only their names and hashes.
        finished: artifacts of the last run of the same recipe, preset and profile.
        stages: the table of stages.
    """

    copy_images: bool = False
    finished: bool = True
    stages: Mapping[str, Stage] = field(default_factory=lambda: STAGES)


def export_job(
    recipe: Recipe,
    dataset: Dataset | None,
    store: ArtifactStore,
    folder: Path,
    *,
    reporter: Reporter,
    options: ExportOptions | None = None,
) -> Transfer:
    """Write the job; returns which finished artifacts went along.

    Args:
        recipe: as its preset and profile have it.
        dataset: its cases; None if the recipe has none.
        store: of which finished artifacts and reviews are copied.
        folder: new or empty.
        reporter: told about each copied file.
        options: see `ExportOptions`.

    Raises:
        UsageError: the folder is not empty or cannot be written.
        DatasetError: an image is missing, or a finished artifact is damaged.
        RecipeError: the recipe cannot be written as TOML.
    """
    options = options or ExportOptions()
    require_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_recipe(folder / RECIPE_NAME, recipe, stages=options.stages)
    if dataset is not None:
        _write_dataset(dataset, folder, FileDigests(store.root / "digests.json"), reporter, options)
    _write_texts(recipe, dataset, folder, options)
    target = ArtifactStore(folder / STORE_NAME)
    if (store.root / REVIEWS).is_dir():
        shutil.copytree(store.root / REVIEWS, target.root / REVIEWS)
    target.root.mkdir(exist_ok=True)
    finished = _finished(recipe, store) if options.finished else []
    return transfer_artifacts(finished, target, reporter)


def _finished(recipe: Recipe, store: ArtifactStore) -> list[Path]:
    """Folders of what the last run of the recipe used and what still is there."""
    last = next(iter(past_runs(store, recipe)), None)
    keys = dict.fromkeys(key for keys in run_keys(last).values() for key in keys) if last else {}
    return [folder for key in keys if (folder := store.folder_of(key)).is_dir()]


def _write_dataset(
    dataset: Dataset,
    folder: Path,
    digests: FileDigests,
    reporter: Reporter,
    options: ExportOptions,
) -> None:
    """The manifest with the hash of each file, and the files if asked for."""

    def hashed(file: StoredFile) -> StoredFile:
        return replace(file, sha256=digests.of(dataset.path_of(file)))

    target = (folder / MANIFEST_NAME).parent
    target.mkdir()
    cases = []
    for number, case in enumerate(dataset.cases):
        reporter.advance("export", number, len(dataset.cases))
        if options.copy_images:
            _copy_files(case, dataset, target)
        images = {sequence: hashed(file) for sequence, file in case.images.items()}
        labels = hashed(case.label_map) if case.label_map else None
        cases.append(replace(case, images=images, label_map=labels))
    save_dataset(folder / MANIFEST_NAME, replace(dataset, root=target, cases=tuple(cases)))


def _copy_files(case: Case, dataset: Dataset, target: Path) -> None:
    for file in case.files:
        path = target / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.path_of(file), path)


def _write_texts(
    recipe: Recipe, dataset: Dataset | None, folder: Path, options: ExportOptions
) -> None:
    write_text_atomically(folder / "README.md", _readme(recipe, dataset, options))
    arguments = f"recipe run {RECIPE_NAME} --store {STORE_NAME}"
    if dataset is not None:
        arguments += f' --dataset "${{DATASET:-{MANIFEST_NAME}}}"'
    command = f'-m FlareMRCore {arguments} ${{DATA:+--data "$DATA"}}'
    script = _filled("job-run.txt", {"COMMAND": command, "DATASET": MANIFEST_NAME})
    write_text_atomically(folder / "run.sh", script)
    (folder / "run.sh").chmod(0o755)
    write_text_atomically(folder / "submit.sbatch", _batch_script(command))
    content = {
        "format": JOB_FORMAT,
        "recipe": recipe.name,
        "preset": recipe.preset,
        "profile": recipe.profile,
        "title": recipe.title,
        "exported": _now(),
        "version": __version__,
        "git_commit": git_commit(),
        "stages": list(_stage_versions(recipe, options)),
        "dataset": dataset.name if dataset else None,
    }
    write_json_atomically(folder / JOB_NAME, content)


def _readme(recipe: Recipe, dataset: Dataset | None, options: ExportOptions) -> str:
    where = f"Put the images beside {MANIFEST_NAME}, or the manifest beside the images"
    there = "The images are in this folder" if options.copy_images else where
    return _filled(
        "job-readme.txt",
        {
            "TITLE": recipe.title,
            "LABEL": recipe.label,
            "DATE": _now()[:10],
            "VERSION": __version__,
            "DATASET": MANIFEST_NAME if dataset else "(no dataset)",
            "CASES": f"{len(dataset.cases)} of '{dataset.name}'"
            if dataset
            else "made by the recipe",
            "IMAGES": f"{there}." if dataset else "This recipe makes its own cases or names them.",
            "PLAIN": f"python -m FlareMRCore recipe run {RECIPE_NAME} --store {STORE_NAME} ...",
        },
    )


def _batch_script(command: str) -> str:
    """submit.sbatch: the script for clusters, with the command of this job."""
    text = _resource("slurm.txt")
    comment, _, rest = text.partition("#SBATCH")
    lines = [line for line in comment.splitlines() if "train.sbatch" not in line]
    head = "\n".join(lines) + "\n# Submit it in this folder: sbatch submit.sbatch\n"
    environment = '"${VIRTUAL_ENV:?Activate the virtual environment, then submit}"'
    return f"{head}#SBATCH{rest}".replace(TRAIN_COMMAND, command).replace(ENVIRONMENT, environment)


def _stage_versions(recipe: Recipe, options: ExportOptions) -> Iterator[dict[str, Any]]:
    for spec in recipe.stages:
        yield {"id": spec.id, "use": spec.use, "version": options.stages[spec.use].version}


def _filled(name: str, values: Mapping[str, str]) -> str:
    text = _resource(name)
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _resource(name: str) -> str:
    return files("FlareMRCore").joinpath(f"resources/training/{name}").read_text(encoding="utf-8")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
