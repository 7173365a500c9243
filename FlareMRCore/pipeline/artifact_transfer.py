"""Artifacts from one store into another: verified first, and nothing that is there replaced."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from FlareMRCore.data.dataset import report_problems
from FlareMRCore.errors import DatasetError
from FlareMRCore.pipeline.artifact_store import ArtifactStore
from FlareMRCore.pipeline.artifacts import (
    RECORD_NAME,
    Artifact,
    artifact_key,
    content_digest,
    digest_of,
    hash_files,
    read_artifact,
)
from FlareMRCore.progress import Reporter

IDENTITY = ("stage", "version", "parameters", "inputs", "external")
"""What the key of an artifact is made of, see `artifact_identity`."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Keys of artifacts, by what happened to them.

    Attributes:
        published: were copied.
        present: were there already, with the same content.
        different: were there already with other content, which stays.
    """

    published: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def transfer_artifacts(
    folders: Sequence[Path], store: ArtifactStore, reporter: Reporter
) -> Transfer:
    """Copy the artifacts in `folders` into `store`: all of them, or none if one is damaged.

    Raises:
        DatasetError: lists every artifact that is not what its record says.
        Cancelled: the user asked to stop; nothing was published.
    """
    staged: list[tuple[Artifact, Path]] = []
    present: list[str] = []
    different: list[str] = []
    problems: list[str] = []
    with ExitStack() as stack:
        for number, folder in enumerate(folders):
            reporter.advance("verify", number, len(folders))
            known = store.find(folder.name)
            if known is None:
                copy = stack.enter_context(store.writing())
                shutil.copytree(folder, copy, dirs_exist_ok=True)
                problem, artifact = _checked(copy, folder.name)
                problems += [problem] * bool(problem)
                staged += [(artifact, copy)] if artifact else []
                continue
            same = read_artifact(folder).digest == known.digest
            (present if same else different).append(folder.name)
        report_problems("The artifacts", problems, code="store.damaged")
        for artifact, copy in staged:
            store.publish(artifact.key, copy, artifact.record)
    published = tuple(artifact.key for artifact, _ in staged)
    return Transfer(published, tuple(present), tuple(different))


def _checked(folder: Path, key: str) -> tuple[str, Artifact | None]:
    """What is wrong with the copy of the artifact `key`; the artifact if nothing is."""
    try:
        artifact = read_artifact(folder)
        problem = artifact_problem(artifact, key)
    except (DatasetError, KeyError, TypeError) as error:
        return f"{key[:12]}: its record cannot be read ({type(error).__name__})", None
    return (f"{key[:12]}: {problem}", None) if problem else ("", artifact)


def artifact_problem(artifact: Artifact, key: str) -> str:
    """What about the files or the record of an artifact is not as it should be; empty if nothing.

    Raises:
        KeyError: the record lacks something.
    """
    record = artifact.record
    files = {name: sha for name, sha in hash_files(artifact.folder).items() if name != RECORD_NAME}
    wrong = sorted(set(files.items()) ^ set(record["outputs"].items()))
    if wrong:
        return f"'{wrong[0][0]}' is missing, was changed, or does not belong there"
    cases = [digest_of(case) for case in record["cases"]]
    if artifact.digest != content_digest(files, cases):
        return "the digest of its content is not the recorded one"
    if key != artifact.key or key != artifact_key({name: record[name] for name in IDENTITY}):
        return "its key does not belong to its inputs and parameters"
    return ""
