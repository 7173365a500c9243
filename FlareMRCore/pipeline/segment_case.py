"""One image file in, one segmentation file out: what scripts, the command line and batches call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from FlareMRCore.data.atomic_file import write_text_atomically
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import ReadResult, read_with_warnings, write_volume
from FlareMRCore.pipeline.case_record import CaseRecord, records_json, software_versions
from FlareMRCore.pipeline.engine import Engine, EngineOptions, open_engine
from FlareMRCore.pipeline.html_report import PageCase, report_page
from FlareMRCore.pipeline.output_paths import check_targets
from FlareMRCore.pipeline.preview import preview_png, write_preview
from FlareMRCore.pipeline.statistics import organ_statistics, statistics_csv, statistics_json
from FlareMRCore.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from FlareMRCore.inference.report import SegmentationReport


@dataclass(frozen=True, slots=True)
class SegmentFileOptions:
    """How to segment a file, and what to write besides the segmentation.

    Attributes:
        engine: how to segment.
        frame: which volume of a 4-D image, from 0.
        series: which DICOM series, if the folder has several: UID, number or description.
        statistics: table of the organs, ``.csv`` or ``.json``.
        preview: picture of the result, ``.png``.
        report: everything about the run, ``.json`` or ``.html``.
        confidence: image with the probability (0 to 1) of each voxel's label; an engine that is
            given must have been opened with `EngineOptions.confidence_map`.
    """

    engine: EngineOptions = field(default_factory=EngineOptions)
    frame: int = 0
    series: str | None = None
    statistics: Path | None = None
    preview: Path | None = None
    report: Path | None = None
    confidence: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CaseResult:
    """A segmented case: image and labels on one grid, and what is kept about it."""

    volume: Volume
    label_map: LabelMap
    record: CaseRecord


def segment_file(
    path: Path | str,
    output: Path | str,
    options: SegmentFileOptions | None = None,
    reporter: Reporter | None = None,
    *,
    engine: Engine | None = None,
) -> CaseResult:
    """Segment the image at `path` and write its label map to `output`.

    The label map has exactly the grid of the image. Existing files are replaced in one step, and
    only once the segmentation succeeded; the image is never written to.

    Args:
        path: image file, or folder of a DICOM series.
        output: ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha`` or ``.seg.nrrd``.
        options: defaults are standard mode, default weights, any device.
        reporter: told about the progress; by default nobody.
        engine: an opened engine, for many images with the same options.

    Raises:
        FlareMRError: see the classes in `FlareMRCore.errors`; the message says what to do.
    """
    path, output = Path(path), Path(output)
    options = options or SegmentFileOptions()
    reporter = reporter or SilentReporter()
    check_targets(
        (path,),
        segmentation=output,
        statistics=options.statistics,
        preview=options.preview,
        report=options.report,
        confidence=options.confidence,
    )
    opened = engine or open_engine(_engine_options(options), reporter)
    start = time.perf_counter()
    reporter.advance("read", 0, 1)
    read = read_with_warnings(path, frame=options.frame, series=options.series)
    for warning in read.warnings:
        reporter.message(warning, level="warning")
    reporter.advance("read", 1, 1)
    load_s = time.perf_counter() - start + (0.0 if engine else opened.load_s)
    result = opened.segment(read.volume, reporter)
    start = time.perf_counter()
    reporter.advance("save", 0, 1)
    write_label_map(output, result.label_map, like=read.grid)
    if options.confidence and result.confidence:
        write_volume(options.confidence, result.confidence, like=read.grid)
    timed = result.report.with_seconds("load", round(load_s, 3))
    timed = timed.with_seconds("save", round(time.perf_counter() - start, 3))
    record = _record(path, output, read, options.frame, (result.label_map, timed))
    case = CaseResult(read.volume, result.label_map, record)
    _write_extras(case, options)
    reporter.advance("save", 1, 1)
    return case


def case_name(path: Path) -> str:
    """Name of a file without its image suffix, or of a folder."""
    name = path.name if path.name not in ("", ".", "..") else path.resolve().name
    for suffix in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name or "image"


def _engine_options(options: SegmentFileOptions) -> EngineOptions:
    return replace(options.engine, confidence_map=options.confidence is not None)


def _record(
    path: Path,
    output: Path,
    read: ReadResult,
    frame: int,
    outcome: tuple[LabelMap, SegmentationReport],
) -> CaseRecord:
    label_map, report = outcome
    geometry = read.volume.geometry
    return CaseRecord(
        case=case_name(path) + (f"_frame{frame}" if read.frames > 1 else ""),
        input=str(path),
        frame=frame if read.frames > 1 else None,
        output=str(output),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm,
        axis_codes=geometry.axis_codes,
        report=report.as_dict(),
        organs=organ_statistics(read.volume, label_map, report.organs),
        warnings=(*read.warnings, *report.warnings),
        versions=software_versions(),
    )


def _write_extras(case: CaseResult, options: SegmentFileOptions) -> None:
    record = case.record
    if options.statistics:
        write = statistics_csv if options.statistics.suffix == ".csv" else statistics_json
        write_text_atomically(options.statistics, write({record.case: record.organs}))
    if options.preview:
        write_preview(options.preview, case.volume, case.label_map)
    if options.report and options.report.suffix == ".json":
        write_text_atomically(options.report, records_json([record], single=True))
    elif options.report:
        picture = preview_png(case.volume, case.label_map)
        page = report_page([PageCase(record.case, record=record, picture=picture)])
        write_text_atomically(options.report, page)
