"""Many images with one loaded model; a bad one does not stop the others, and a rerun goes on."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from FlareMRCore import __version__
from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import Cancelled, FlareMRError, InputError, UsageError
from FlareMRCore.events import error_fields
from FlareMRCore.pipeline.case_record import CaseRecord, read_record, records_json, write_record
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.pipeline.html_report import PageCase, report_page
from FlareMRCore.pipeline.inputs import CaseInput
from FlareMRCore.pipeline.manifest import (
    DONE,
    FAILED,
    CaseEntry,
    Manifest,
    content_sha256,
    is_done,
    read_manifest,
    write_manifest,
)
from FlareMRCore.pipeline.output_paths import check_targets, make_folder, resolved
from FlareMRCore.pipeline.preview import preview_png, write_png
from FlareMRCore.pipeline.segment_case import SegmentFileOptions, segment_file
from FlareMRCore.pipeline.statistics import statistics_csv, statistics_json
from FlareMRCore.progress import Reporter

RECORDS = "reports"
"""Folder below that of the batch with a record, and a picture if asked for, of each case."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How to segment a batch.

    Attributes:
        engine: how to segment.
        suffix: format of the segmentations, e.g. ``".nii.gz"``.
        resume: skip the cases that an earlier run finished with the same options.
        statistics: one table of all cases, ``.csv`` or ``.json``.
        preview: folder for a picture of each case.
        report: one report of all cases, ``.json`` or ``.html``.
    """

    engine: EngineOptions
    suffix: str = ".nii.gz"
    resume: bool = False
    statistics: Path | None = None
    preview: Path | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """What all cases of one run share."""

    folder: Path
    options: BatchOptions
    engine: Engine
    reporter: Reporter
    previous: Manifest | None

    def record_path(self, name: str) -> Path:
        return self.folder / RECORDS / f"{name}.json"

    def picture_path(self, name: str) -> Path:
        folder = self.options.preview or self.folder / RECORDS
        return folder / f"{name}.png"

    @property
    def wants_pictures(self) -> bool:
        report = self.options.report
        return self.options.preview is not None or (
            report is not None and report.suffix.lower() == ".html"
        )


def run_batch(
    cases: tuple[CaseInput, ...],
    folder: Path,
    options: BatchOptions,
    reporter: Reporter,
    *,
    engine: Engine | None = None,
) -> Manifest:
    """Segment all cases into `folder` and return what became of each.

    The manifest in `folder` is written after each case, so a run that was cancelled or killed
    loses one case at most.

    Raises:
        UsageError: the folder cannot be written, or an output would destroy an input.
        WeightsError: the weights are missing or damaged.
        Cancelled: the user asked to stop; finished cases stay.
    """
    entries = {
        case.name: CaseEntry(str(case.path), case.frame, case.name + options.suffix)
        for case in cases
    }
    _check(cases, entries, folder, options)
    opened = engine or open_engine(options.engine, reporter)
    manifest = Manifest(_deciding_options(options, opened), entries)
    previous = read_manifest(folder) if options.resume else None
    if previous is not None and previous.options != manifest.options:
        reporter.message("The options changed: all cases are segmented again.", level="warning")
        previous = None
    batch = _Batch(folder, options, opened, reporter, previous)
    write_manifest(folder, manifest)
    for number, case in enumerate(cases):
        reporter.advance("cases", number, len(cases))
        entry = _run_case(batch, case, entries[case.name])
        manifest = manifest.with_case(case.name, entry)
        write_manifest(folder, manifest)
    reporter.advance("cases", len(cases), len(cases))
    _write_summaries(batch, manifest)
    return manifest


def _check(
    cases: tuple[CaseInput, ...],
    entries: Mapping[str, CaseEntry],
    folder: Path,
    options: BatchOptions,
) -> None:
    for needed in (folder, folder / RECORDS, options.preview):
        if needed is not None:
            make_folder(needed)
    inputs = [case.path for case in cases]
    check_targets(inputs, statistics=options.statistics, report=options.report)
    sources = {resolved(path) for path in inputs}
    for entry in entries.values():
        if resolved(folder / entry.output) in sources:
            raise UsageError(
                f"The segmentation '{folder / entry.output}' would overwrite an input.",
                code="output.is-input",
                hint="Choose another folder for the output.",
            )


def _deciding_options(options: BatchOptions, engine: Engine) -> dict[str, Any]:
    """All that changes labels, in JSON types; device and threads do not."""
    chosen = asdict(options.engine)
    for name in ("device", "threads", "weights", "confidence_map"):
        del chosen[name]
    return {
        **chosen,
        "organs": list(options.engine.organs),
        "suffix": options.suffix,
        "weights": engine.weights_id,
        "weights_sha256": dict(engine.weights_sha256),
        "version": __version__,
    }


def _run_case(batch: _Batch, case: CaseInput, entry: CaseEntry) -> CaseEntry:
    start = time.perf_counter()
    try:
        entry = replace(entry, input_sha256=content_sha256(case.path))
        if is_done(batch.folder, batch.previous, case.name, entry) and _complete(batch, case):
            batch.reporter.message(f"{case.name}: already done")
            return batch.previous.cases[case.name] if batch.previous else entry
        batch.reporter.message(f"{case.name}: {case.path}")
        _segment(batch, case, batch.folder / entry.output)
        entry = replace(entry, output_sha256=content_sha256(batch.folder / entry.output))
    except Cancelled:
        raise
    except Exception as failure:  # noqa: BLE001 - a bad case must not stop the others
        error = _case_error(case, failure)
        batch.reporter.message(f"{case.name}: failed. {error['message']}", level="warning")
        entry = replace(entry, state=FAILED, error=error)
    else:
        entry = replace(entry, state=DONE)
    return replace(entry, seconds=round(time.perf_counter() - start, 2))


def _segment(batch: _Batch, case: CaseInput, output: Path) -> None:
    options = SegmentFileOptions(engine=batch.options.engine, frame=case.frame or 0)
    result = segment_file(case.path, output, options, batch.reporter, engine=batch.engine)
    write_record(batch.record_path(case.name), replace(result.record, case=case.name))
    if batch.wants_pictures:
        write_png(batch.picture_path(case.name), preview_png(result.volume, result.label_map))


def _complete(batch: _Batch, case: CaseInput) -> bool:
    """True if the record of a finished case can be read; a missing picture is drawn again."""
    try:
        record = read_record(batch.record_path(case.name))
    except InputError:
        return False
    if batch.wants_pictures and not batch.picture_path(case.name).is_file():
        volume = read_volume(case.path, frame=case.frame or 0)
        labels = read_label_map(batch.folder / Path(record.output).name)
        write_png(batch.picture_path(case.name), preview_png(volume, labels))
    return True


def _case_error(case: CaseInput, failure: Exception) -> dict[str, Any]:
    if isinstance(failure, FlareMRError):
        return error_fields(failure)
    if isinstance(failure, OSError) and failure.filename is not None:
        text = f"'{failure.filename}' cannot be used: {failure.strerror}."
        return error_fields(InputError(text, code="input.file"))
    text = f"Internal error in case '{case.name}' ({type(failure).__name__}: {failure})."
    details = "".join(traceback.format_exception(failure))
    return {**error_fields(FlareMRError(text)), "details": details}


def _write_summaries(batch: _Batch, manifest: Manifest) -> None:
    """Table and report of all cases of this run."""
    records = {
        name: read_record(batch.record_path(name))
        for name, entry in manifest.cases.items()
        if entry.state == DONE
    }
    statistics, report = batch.options.statistics, batch.options.report
    if statistics is not None:
        organs = {name: record.organs for name, record in records.items()}
        write = statistics_csv if statistics.suffix.lower() == ".csv" else statistics_json
        write_text_atomically(statistics, write(organs))
    if report is not None and report.suffix.lower() == ".json":
        write_text_atomically(report, records_json(list(records.values()), single=False))
    elif report is not None:
        pages = [_page(batch, name, manifest, records.get(name)) for name in manifest.cases]
        write_text_atomically(report, report_page(pages))


def _page(batch: _Batch, name: str, manifest: Manifest, record: CaseRecord | None) -> PageCase:
    if record is None:
        return PageCase(name, error=manifest.cases[name].error or {})
    return PageCase(name, record=record, picture=batch.picture_path(name).read_bytes())
