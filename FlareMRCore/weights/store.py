"""All weights of one user: what there is, where it lies, and how it gets there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from FlareMRCore.errors import WeightsError
from FlareMRCore.progress import Reporter
from FlareMRCore.weights.checking import HashMemory, file_problem
from FlareMRCore.weights.folders import bundled_folder, default_folder, make_folder, writing
from FlareMRCore.weights.installed import delete_files, delete_if_empty, imported_models
from FlareMRCore.weights.models import load_entry_from_path, save_entry
from FlareMRCore.weights.options import DownloadOptions
from FlareMRCore.weights.parts import abandoned_parts
from FlareMRCore.weights.registry import (
    Registry,
    WeightsEntry,
    WeightsFile,
    load_registry,
)
from FlareMRCore.weights.transfer import export_to, import_from

_MEMORY_NAME = ".verified.json"

# Left free on the disk, so that a download does not bring the rest of the system to a halt.
_SPARE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class WeightsStore:
    """The weights this user can use. Making one reads the registry and nothing else.

    A file is looked for in `bundled_folder / id / name`, then in `folder / id / version / name`;
    the first with the right content counts. Only `fetch` uses the network.

    Attributes:
        registry: the entries that FlareMR knows by itself.
        bundled_folder: files that came with FlareMR; only read.
        folder: files of this user; created when first needed.
    """

    registry: Registry = field(default_factory=load_registry)
    bundled_folder: Path = field(default_factory=bundled_folder)
    folder: Path = field(default_factory=default_folder)

    def default_id(self) -> str:
        """Identifier of the weights that are used when nobody chooses.

        Raises:
            WeightsError: no entry is marked as default.
        """
        return self.registry.default_id()

    def entries(self) -> tuple[WeightsEntry, ...]:
        """The registry's entries, then imported models by identifier.

        Models whose description is broken are left out; `broken_models` names them.
        """
        return (*self.registry.entries, *imported_models(self.folder, self.registry)[0].values())

    def broken_models(self) -> tuple[str, ...]:
        """What is wrong with the descriptions of imported models, a text for each broken one."""
        return tuple(imported_models(self.folder, self.registry)[1])

    def entry(self, weights_id: str) -> WeightsEntry:
        """The entry called `weights_id`.

        Raises:
            WeightsError: there is none; the message lists those there are.
        """
        found = self.registry.entry(weights_id) or imported_models(self.folder, self.registry)[
            0
        ].get(weights_id)
        if found is not None:
            return found
        known = ", ".join(entry.id for entry in self.entries()) or "none"
        broken = "".join(f"\n{text}" for text in self.broken_models())
        raise WeightsError(
            f"There are no weights '{weights_id}'. Known: {known}.{broken}",
            code="weights.unknown",
            hint="Give one of these, or the path of a folder or .zip archive of a model.",
        )

    def resolve(self, id_or_path: str | None = None) -> tuple[WeightsEntry, Mapping[str, Path]]:
        """Entry and verified files of weights named by identifier or path; None: the default.

        An identifier goes before a path of the same name; write `./NAME` for that path.

        Raises:
            WeightsError: no such weights, or files that are missing or damaged.
        """
        if id_or_path is None:
            id_or_path = self.default_id()
        if all(entry.id != id_or_path for entry in self.entries()):
            path = Path(id_or_path).expanduser()
            if path.exists():
                entry, folder = load_entry_from_path(path, unpack_folder=self.folder / ".unpacked")
                return entry, {file.name: folder / file.name for file in entry.files}
        return self.entry(id_or_path), self.locate(id_or_path)

    def locate(self, weights_id: str) -> Mapping[str, Path]:
        """Path of each file of an entry, by file name, with the right length and SHA-256.

        Raises:
            WeightsError: no such entry, or files that are missing or damaged.
        """
        entry = self.entry(weights_id)
        found = {file.name: self._find(entry, file) for file in entry.files}
        if any(path is None for path in found.values()):
            raise self._absence(entry, [name for name, path in found.items() if path is None])
        return {name: path for name, path in found.items() if path is not None}

    def verify(self, weights_id: str) -> list[str]:
        """What is wrong with the files of an entry, a sentence each; empty if nothing is.

        Every copy is read in full, whatever was found before. A missing file is a problem if
        there is no other copy of it.

        Raises:
            WeightsError: no such entry.
        """
        entry = self.entry(weights_id)
        problems = []
        for file in entry.files:
            copies = [path for path in self._places(entry, file) if path.exists()]
            for path in copies or [self._places(entry, file)[-1]]:
                problems.append(file_problem(path, file))
        return [problem for problem in problems if problem]

    def state(self, weights_id: str) -> str:
        """``"bundled"``, ``"installed"``, ``"damaged"`` or ``"missing"``.

        Raises:
            WeightsError: no such entry.
        """
        entry = self.entry(weights_id)
        found = [self._find(entry, file) for file in entry.files]
        if None not in found:
            bundled = [path for path in found if path and self.bundled_folder in path.parents]
            return "bundled" if len(bundled) == len(found) else "installed"
        places = [path for file in entry.files for path in self._places(entry, file)]
        return "damaged" if any(path.exists() for path in places) else "missing"

    def fetch(
        self, weights_id: str, reporter: Reporter, *, options: DownloadOptions | None = None
    ) -> Mapping[str, Path]:
        """Path of each file of an entry, by file name, downloaded if it is not here yet.

        Progress is reported in bytes as stage ``"download"``; cancelling keeps what was received.

        Raises:
            WeightsError: no such entry, no mirror gave a file, no space or no permission.
        """
        # Here, so that all the rest works where `requests` is not installed.
        from FlareMRCore.weights.download import download

        entry = self.entry(weights_id)
        missing = [file for file in entry.files if self._find(entry, file) is None]
        if missing:
            self._check_before_download(entry, missing)
        folder = self.install_folder(entry)
        total, before = sum(file.size for file in missing), 0
        for file in missing:
            download(
                file,
                folder,
                progress=partial(_report_bytes, reporter, total, before),
                warn=partial(reporter.message, level="warning"),
                options=options or DownloadOptions(),
            )
            before += file.size
        if missing:
            save_entry(entry, folder)
            reporter.advance("download", total, total)
        return self.locate(weights_id)

    def import_weights(self, path: Path) -> tuple[WeightsEntry, ...]:
        """Take over weights from a folder, a .zip archive or a file; the entries that got files.

        Raises:
            WeightsError: nothing there belongs to an entry, a model is not complete, or the
                files cannot be written.
        """
        return import_from(path, self.registry, self.install_folder)

    def export(self, weights_id: str, path: Path) -> Path:
        """Write an entry and its files into the .zip archive `path`, for `import_weights`.

        Raises:
            UsageError: `path` does not end in .zip.
            WeightsError: files are missing or damaged, or the archive cannot be written.
        """
        return export_to(path, self.entry(weights_id), self.locate(weights_id))

    def remove(self, weights_id: str) -> tuple[Path, ...]:
        """Delete this user's files of an entry, of all its versions; the deleted paths.

        Only files that a description names, parts of downloads and the descriptions are deleted,
        so files of other origin in the same folder survive. Bundled files are never touched.

        Raises:
            WeightsError: no such entry, nothing to delete, or no permission.
        """
        entry = self.entry(weights_id)
        top = self.folder / entry.id
        removed: list[Path] = []
        with writing(top):
            for folder in sorted(top.glob("*/")):
                removed += delete_files(folder, {file.name for file in entry.files})
            delete_if_empty(top)
        if removed:
            return tuple(removed)
        reason = "nothing of them is installed"
        if self.state(weights_id) == "bundled":
            reason = "they are part of FlareMR"
        raise WeightsError(
            f"Cannot remove the weights '{weights_id}': {reason}.", code="weights.not-installed"
        )

    def install_folder(self, entry: WeightsEntry) -> Path:
        """Where downloaded and imported files of `entry` belong."""
        return self.folder / entry.id / entry.version

    def _places(self, entry: WeightsEntry, file: WeightsFile) -> tuple[Path, Path]:
        return (
            self.bundled_folder / entry.id / file.name,
            self.install_folder(entry) / file.name,
        )

    def _find(self, entry: WeightsEntry, file: WeightsFile) -> Path | None:
        """The first copy of a file with the right content."""
        memory = HashMemory(self.folder / _MEMORY_NAME)
        for path in self._places(entry, file):
            if not file_problem(path, file, memory.sha256):
                return path
        return None

    def _absence(self, entry: WeightsEntry, names: list[str]) -> WeightsError:
        """The error for files that are not there or not right."""
        problems = self.verify(entry.id)
        state = self.state(entry.id)
        listing = "".join(f"\n  {problem}" for problem in problems)
        remedy = f"'python -m FlareMRCore weights fetch {entry.id}'"
        if any(not entry.file(name).urls for name in names):
            remedy = "'python -m FlareMRCore weights import PATH', or install FlareMR again"
        return WeightsError(
            f"The weights '{entry.id}' are {state}:{listing}",
            code=f"weights.{state}",
            hint=f"\nGet them with {remedy}.",
        )

    def _check_before_download(self, entry: WeightsEntry, files: list[WeightsFile]) -> None:
        """Stop before the first byte if the download cannot succeed."""
        for file in files:
            if not file.urls:
                raise WeightsError(
                    f"{file.name} of the weights '{entry.id}' cannot be downloaded: "
                    "no address is known.",
                    code="weights.no-url",
                    hint="Import it with 'python -m FlareMRCore weights import PATH'.",
                )
        folder = self.install_folder(entry)
        make_folder(folder)
        needed = sum(file.size - _received(folder, file) for file in files) + _SPARE_BYTES
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise WeightsError(
                f"The weights '{entry.id}' need {needed >> 20} MiB in {folder}, "
                f"only {free >> 20} MiB are free.",
                code="weights.disk",
                hint="Free some space, or choose another folder with the environment variable "
                "FLAREMR_WEIGHTS_DIR.",
            )


def _report_bytes(reporter: Reporter, total: int, before: int, done: int) -> None:
    reporter.advance("download", before + done, total)


def _received(folder: Path, file: WeightsFile) -> int:
    """Bytes that an earlier download left for this one."""
    return max((part.stat().st_size for part in abandoned_parts(folder, file)), default=0)
