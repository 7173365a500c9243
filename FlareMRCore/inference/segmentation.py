"""Segmentation of one image: coarse network, region of interest, fine network, labels, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from FlareMRCore.data.geometry import FloatArray, Triple
from FlareMRCore.data.labels import LabelTable
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.errors import UsageError, WeightsError, reason_of
from FlareMRCore.inference.answers import (
    TUMOR_VALUE,
    Answer,
    answers,
    confidences,
    full_labels,
    known_structures,
    overlaid,
    view_agreements,
)
from FlareMRCore.inference.confidence import winning_probability
from FlareMRCore.inference.device import DeviceChoice, pick_device
from FlareMRCore.inference.memory import MB, is_out_of_memory, out_of_memory, release_memory
from FlareMRCore.inference.model import COARSE, FINE, TUMOR, LoadedModel, load_model
from FlareMRCore.inference.plausibility import ct_error, field_of_view_warning, looks_like_ct
from FlareMRCore.inference.point_sampling import sample_values
from FlareMRCore.inference.postprocessing import Cleaned, clean, organ_results
from FlareMRCore.inference.preparation import Frame, prepare, restore
from FlareMRCore.inference.region import Region, find_region, whole_region
from FlareMRCore.inference.report import OrganResult, SegmentationReport, StageReport
from FlareMRCore.inference.session import Stopwatch, torch_threads
from FlareMRCore.inference.sliding_window import Overlap
from FlareMRCore.inference.stages import StageOptions, StageResult, run_stage
from FlareMRCore.inference.system_memory import peak_memory_bytes
from FlareMRCore.inference.upsampling import upsample_values
from FlareMRCore.inference.views import view_names
from FlareMRCore.inference.winners import winning_classes
from FlareMRCore.progress import Reporter

__all__ = ["MODES", "LoadedModel", "SegmentOptions", "SegmentResult", "load_model", "segment"]

MODES = ("fast", "standard", "accurate")


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How to segment.

    Attributes:
        mode: ``"fast"``: the coarse network alone if it knows the organs, else the fine one;
            ``"standard"``: coarse, then fine; ``"accurate"``: the same with all views.
        device: ``"auto"`` for where the model is, else as `pick_device` understands.
        organs: identifiers of the wanted organs; empty for all.
        tta: number of views at most, identity included; None leaves it to the mode.
        threads: processor threads; None leaves them as torch chose.
        keep_largest: drop all but the largest piece of each organ.
        anatomy_rules: apply the anatomical rules of `imaging.anatomy`.
        anatomy_min_extent_mm: only to images longer than this from foot to head.
        overlap: of sliding windows, see `window_boxes`.
        allow_ct: go on if the image looks like CT.
        confidence_map: also return the probability of each voxel's label.
        half_precision: use half precision where it proves right; False for float32 always.
    """

    mode: str = "standard"
    device: str = "auto"
    organs: tuple[str, ...] = ()
    tta: int | None = None
    threads: int | None = None
    keep_largest: bool = True
    anatomy_rules: bool = False
    anatomy_min_extent_mm: float = 0.0
    overlap: Overlap = "adaptive"
    allow_ct: bool = False
    confidence_map: bool = False
    half_precision: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """What comes out.

    Attributes:
        label_map: labels on exactly the grid of the input.
        report: how, how sure and how long.
        confidence: probability (0 to 1) of each voxel's label on the same grid, if asked for;
            1 outside of the region of interest, where the background was certain to the coarse
            network.
    """

    label_map: LabelMap
    report: SegmentationReport
    confidence: Volume | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What all steps of one segmentation share."""

    model: LoadedModel
    options: SegmentOptions
    device: DeviceChoice
    reporter: Reporter
    watch: Stopwatch


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """What counts, in rising priority, the reports of all stages that ran, and the region."""

    answers: tuple[Answer, ...]
    reports: tuple[StageReport, ...]
    region: Region


def segment(
    volume: Volume, model: LoadedModel, options: SegmentOptions, reporter: Reporter
) -> SegmentResult:
    """Organs of `volume`; the input is not changed, and repeating gives the same bytes on CPU.

    Raises:
        InputError: the image is constant, or a CT.
        UsageError: an option makes no sense, or the device does not exist.
        WeightsError: the weights cannot do what the mode needs.
        OutOfMemoryError: it does not fit into memory in any way.
        Cancelled: the user asked to stop.
    """
    wanted = _checked(options, model)
    device = model.device if options.device == "auto" else pick_device(options.device)
    job = _Job(model, options, device, reporter, Stopwatch())
    with torch_threads(options.threads):
        try:
            return _segment(volume, job, wanted)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = reason_of(error)
        release_memory()
        raise out_of_memory(reason)


def _segment(volume: Volume, job: _Job, wanted: LabelTable) -> SegmentResult:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    warnings: list[str] = []
    with job.watch.phase("preprocess"):
        frame = prepare(volume, finest_spacing_mm=_finest_spacing_mm(job.model))
        _check_modality(frame, job, warnings)
    outcome = _run_networks(job, frame)
    with job.watch.phase("upsample"):
        labels = [full_labels(answer, frame, job.reporter) for answer in outcome.answers]
        confidence = _confidence_map(outcome.answers[0].result, frame, job)
    with job.watch.phase("postprocess"):
        cleaned = _cleaned(labels, outcome, frame, job.options)
        organs = _organ_results(outcome, frame, cleaned, wanted)
        warnings += _warnings(job, outcome, cleaned)
        final = _only(cleaned.labels, wanted)
        label_map = LabelMap(restore(frame, final), volume.geometry, wanted)
    for warning in warnings:
        job.reporter.message(warning, level="warning")
    return SegmentResult(
        label_map, _report(job, frame, outcome, warnings=warnings, organs=organs), confidence
    )


def _cleaned(
    labels: list[NDArray[np.uint8]], outcome: _Outcome, frame: Frame, options: SegmentOptions
) -> Cleaned:
    """Organs without stray pieces, tumors over them as they are."""
    geometry = frame.working.geometry
    is_tumor = [TUMOR_VALUE in answer.values for answer in outcome.answers]
    organs = [array for array, other in zip(labels, is_tumor, strict=True) if not other]
    over = [array for array, other in zip(labels, is_tumor, strict=True) if other]
    cleaned = clean(
        organs[0] if organs else np.zeros(geometry.shape, dtype=np.uint8),
        geometry,
        keep_largest=options.keep_largest,
        anatomy_rules=options.anatomy_rules,
        min_extent_mm=options.anatomy_min_extent_mm,
    )
    return overlaid(cleaned, over, geometry)


def _run_networks(job: _Job, frame: Frame) -> _Outcome:
    """Coarse and fine network as the mode and the weights have it."""
    shape = frame.aligned.geometry.shape
    organ_stage = _organ_stage(job.model, job.options.mode)
    if organ_stage == COARSE:
        return _run_finals(
            job,
            (COARSE,),
            frame,
            whole_region(shape, "The coarse network segments the whole image."),
        )
    finals = tuple(stage for stage in (FINE, TUMOR) if job.model.has(stage))
    if not job.model.has(COARSE):
        region = whole_region(shape, "These weights have no coarse network.")
        return _run_finals(job, finals, frame, region)
    coarse = _run(job, COARSE, frame, whole_region(shape, ""))
    with job.watch.phase("coarse"):
        foreground = winning_classes(coarse.logits).cpu().numpy() > 0
        margin_mm = job.model.spec(finals[0]).margin_mm
        region = find_region(foreground, coarse.grid, frame.aligned.geometry, margin_mm=margin_mm)
    outcome = _run_finals(job, finals, frame, region)
    return _Outcome(outcome.answers, (coarse.report, *outcome.reports), region)


def _run_finals(job: _Job, stages: tuple[str, ...], frame: Frame, region: Region) -> _Outcome:
    """The networks whose labels count."""
    results = [_run(job, stage, frame, region) for stage in stages]
    found = [
        answer
        for stage, result in zip(stages, results, strict=True)
        for answer in answers(result, job.model.spec(stage))
    ]
    return _Outcome(tuple(found), tuple(result.report for result in results), region)


def _organ_stage(model: LoadedModel, mode: str) -> str:
    """The network whose organs count, or the one for tumors if no other knows anything.

    Raises:
        WeightsError: none of them knows organs or tumors.
    """
    knows = [stage for stage in (COARSE, FINE) if model.has(stage) and model.spec(stage).organs]
    if not knows and model.has(TUMOR):
        return TUMOR
    if not knows:
        raise WeightsError(
            f"No network of the weights '{model.entry.id}' knows the organs.",
            code="weights.stage",
        )
    return knows[0] if mode == "fast" else knows[-1]


def _run(job: _Job, stage: str, frame: Frame, region: Region) -> StageResult:
    limit = job.options.tta
    if limit is None and job.options.mode != "accurate":
        limit = 1
    is_final = stage in (_organ_stage(job.model, job.options.mode), TUMOR)
    views = view_names(job.model.spec(stage).views, limit=limit if is_final else 1)
    options = StageOptions(job.device.name, views, job.options.half_precision, job.options.overlap)
    with job.watch.phase(FINE if stage == TUMOR else stage):
        return run_stage(
            job.model, stage, frame=frame, box=region.box, options=options, reporter=job.reporter
        )


def _confidence_map(result: StageResult, frame: Frame, job: _Job) -> Volume | None:
    if not job.options.confidence_map:
        return None
    probability = winning_probability(result.logits)
    target = frame.working.geometry
    if frame.is_oblique:
        values = sample_values(probability, result.grid, target, fill=1.0, reporter=job.reporter)
    else:
        values = np.ones(target.shape, dtype=np.float32)
        region = target.cropped(result.box)
        values[result.box.slices] = upsample_values(probability, result.grid, region, job.reporter)
    return Volume(restore(frame, values, fill=1.0), frame.source)


def _organ_results(
    outcome: _Outcome, frame: Frame, cleaned: Cleaned, wanted: LabelTable
) -> tuple[OrganResult, ...]:
    sure: dict[int, float | None] = {}
    agreed: dict[int, float | None] = {}
    for answer in outcome.answers:
        sure |= confidences(answer)
        agreed |= view_agreements(answer)
    return organ_results(cleaned, frame.working, wanted, confidences=sure, agreements=agreed)


def _check_modality(frame: Frame, job: _Job, warnings: list[str]) -> None:
    if looks_like_ct(frame.working.array) and "CT" not in job.model.entry.modalities:
        if not job.options.allow_ct:
            raise ct_error()
        warnings.append("The image looks like CT; the networks were made for MR.")


def _warnings(job: _Job, outcome: _Outcome, cleaned: Cleaned) -> list[str]:
    reports = outcome.reports
    warnings = [f"{report.stage} network: {step}" for report in reports for step in report.steps]
    if not outcome.region.found:
        warnings.append(outcome.region.note)
    organs = LabelTable(
        tuple(x for x in known_structures(job.model.entry) if x.value != TUMOR_VALUE)
    )
    field_of_view = field_of_view_warning(cleaned.volumes_ml, organs) if len(organs) else ""
    return [*warnings, *cleaned.notes, *([field_of_view] if field_of_view else [])]


def _only(labels: NDArray[np.uint8], wanted: LabelTable) -> NDArray[np.uint8]:
    """Labels without the organs that nobody wants; those competed for voxels all the same."""
    lookup = np.zeros(256, dtype=np.uint8)
    lookup[list(wanted.values)] = wanted.values
    return lookup[labels]


def _report(
    job: _Job,
    frame: Frame,
    outcome: _Outcome,
    *,
    warnings: list[str],
    organs: tuple[OrganResult, ...],
) -> SegmentationReport:
    entry = job.model.entry
    on_card = torch.cuda.is_available() and job.device.name.startswith("cuda")
    card_bytes = torch.cuda.max_memory_reserved(job.device.name) if on_card else 0
    corners = frame.aligned.geometry.cropped(outcome.region.box).corners()
    return SegmentationReport(
        weights_id=entry.id,
        weights_version=entry.version,
        weights_sha256={file.name: file.sha256 for file in entry.files},
        mode=job.options.mode,
        device=job.device.name,
        device_reason=job.device.reason,
        threads=torch.get_num_threads(),
        seconds=job.watch.rounded(),
        peak_memory_mb=round(peak_memory_bytes() / MB, 1),
        peak_device_memory_mb=round(card_bytes / MB, 1),
        roi_low_mm=_rounded_mm(corners.min(axis=0)),
        roi_high_mm=_rounded_mm(corners.max(axis=0)),
        roi_is_whole=outcome.region.box.shape == frame.aligned.geometry.shape,
        roi_note=outcome.region.note,
        stages=outcome.reports,
        warnings=tuple(warnings),
        organs=organs,
        options=asdict(job.options),
    )


def _rounded_mm(point: FloatArray) -> Triple:
    r, a, s = (round(float(x), 3) for x in point)
    return r, a, s


def _finest_spacing_mm(model: LoadedModel) -> float:
    """Half the voxel of the finest network, 0.5 mm at most: finer detail would not be seen."""
    specs = [model.spec(stage) for stage in model.networks]
    steps: list[float] = [s for spec in specs for s in spec.spacing_mm or (1.0,)]
    return min(steps) / 2


def _checked(options: SegmentOptions, model: LoadedModel) -> LabelTable:
    """Table of the wanted organs.

    Raises:
        UsageError: an option makes no sense.
    """
    if options.mode not in MODES:
        raise UsageError(
            f"There is no mode '{options.mode}'. Known: {', '.join(MODES)}.", code="usage.mode"
        )
    numbers: Mapping[str, int | None] = {"tta": options.tta, "threads": options.threads}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UsageError(f"{name} must be at least 1; found {number}.", code="usage.number")
    table = known_structures(model.entry)
    return table.subset(options.organs) if options.organs else table
