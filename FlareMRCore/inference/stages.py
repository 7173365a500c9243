"""One network over one region of the image: input, memory plan, prediction, report."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from FlareMRCore.data.geometry import Box, Geometry, Shape
from FlareMRCore.data.normalization import Normalization
from FlareMRCore.errors import WeightsError
from FlareMRCore.inference.device import free_memory_bytes
from FlareMRCore.inference.execution import Prediction, Ticker, predict, ticking
from FlareMRCore.inference.memory import MB, Demand, Plan, fitting_plan, run_with_ladder
from FlareMRCore.inference.model import LoadedModel
from FlareMRCore.inference.network_grid import network_grid, network_input
from FlareMRCore.inference.plausibility import looks_like_ct
from FlareMRCore.inference.precision import Precision
from FlareMRCore.inference.preparation import Frame, pad_to_multiple
from FlareMRCore.inference.report import StageReport
from FlareMRCore.inference.sliding_window import Overlap
from FlareMRCore.networks.builders import FOREGROUND_CLASSES, ORGAN_CLASSES
from FlareMRCore.progress import Reporter
from FlareMRCore.weights.registry import NetworkSpec


@dataclass(frozen=True, slots=True)
class StageOptions:
    """How a stage may run.

    Attributes:
        device: where it starts.
        views: names of the views to average, identity first.
        allow_half: False for float32 in any case.
        overlap: of sliding windows.
    """

    device: str
    views: tuple[str, ...]
    allow_half: bool
    overlap: Overlap = "adaptive"


@dataclass(frozen=True, slots=True, eq=False)
class StageResult:
    """What one network said.

    Attributes:
        logits: (classes, k, j, i) float32.
        grid: grid of the logits; it covers at least the region.
        box: the region, in voxels of the frame's aligned image.
        view_labels: labels (k, j, i) of each view; empty with one view.
        report: how it ran.
    """

    logits: Tensor
    grid: Geometry
    box: Box
    view_labels: tuple[Tensor, ...]
    report: StageReport


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Passes on the chance to stop; what is tried before the first pass is no progress."""

    reporter: Reporter

    def advance(self, stage: str, done: int, total: int) -> None:
        self.reporter.advance(stage, 0, 1)

    def message(self, text: str, *, level: str = "info") -> None:
        self.reporter.message(text, level=level)


def run_stage(
    model: LoadedModel,
    stage: str,
    *,
    frame: Frame,
    box: Box,
    options: StageOptions,
    reporter: Reporter,
) -> StageResult:
    """Logits of the network of `stage` for the part `box` of the aligned image.

    Raises:
        OutOfMemoryError: it does not fit into memory in any way.
        WeightsError: the network does not do what the weights promise.
        Cancelled: the user asked to stop.
    """
    spec = model.spec(stage)
    grid = network_grid(spec, frame.aligned.geometry, box)
    x = network_input(frame.aligned, grid, frame.statistics, _normalization(spec, frame))
    demand = _demand(model, stage, x)
    free_bytes = free_memory_bytes(options.device)
    wanted = Plan(options.device, _window(spec), options.device, options.views, options.overlap)
    first, planned = fitting_plan(wanted, demand, free_bytes)
    for step in planned:
        reporter.message(f"The {stage} network would not fit into memory: {step}.", level="warning")

    def run(plan: Plan) -> tuple[Prediction, Precision]:
        return _run_once(model, stage, x, plan, options=options, reporter=reporter)

    (prediction, precision), plan, steps = run_with_ladder(run, first, demand, reporter)
    report = StageReport(
        stage=stage,
        network=spec.builder,
        input_shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        views=plan.views,
        window_shape=plan.window,
        device=plan.device,
        precision="float32" if prediction.overflowed else precision.name,
        precision_reason=_reason(precision, overflowed=prediction.overflowed),
        estimated_mb=round(demand.peak_bytes(first) / MB, 1),
        free_mb=round(free_bytes / MB, 1),
        steps=(*planned, *steps),
    )
    return StageResult(prediction.logits, grid, box, prediction.view_labels, report)


def class_count(model: LoadedModel, stage: str) -> int:
    """Channels of the logits of a stage."""
    spec = model.spec(stage)
    if not spec.organs:
        return FOREGROUND_CLASSES
    return ORGAN_CLASSES + (FOREGROUND_CLASSES if spec.tumor else 0)


def _normalization(spec: NetworkSpec, frame: Frame) -> Normalization:
    """How the weights want this image, which may be CT."""
    if spec.ct_normalization is not None and looks_like_ct(frame.working.array):
        return spec.ct_normalization
    return spec.normalization


def _run_once(
    model: LoadedModel,
    stage: str,
    x: Tensor,
    plan: Plan,
    *,
    options: StageOptions,
    reporter: Reporter,
) -> tuple[Prediction, Precision]:
    spec = model.spec(stage)
    network = model.networks[stage].to(plan.device)
    padded, _ = pad_to_multiple(x, spec.multiple_of)
    # What is tried first must fit where the windows fit.
    part = padded if plan.window is None else _central(padded, plan.window)
    with ticking(network, Ticker(_Beginning(reporter), stage)):
        precision = model.precision(stage, part, plan.device, allow_half=options.allow_half)
    ticker = Ticker(reporter, stage)
    prediction = predict(network, x, spec, plan, dtype=precision.dtype, ticker=ticker)
    _check_classes(prediction.logits, class_count(model, stage), spec.builder)
    reporter.advance(stage, 1, 1)
    return prediction, precision


def _window(spec: NetworkSpec) -> Shape | None:
    """Sliding windows of the network: what its weights say, else the only shape that it takes."""
    stretched = spec.spacing_mm is None
    return spec.window_shape or (None if stretched else spec.fixed_shape)


def _central(x: Tensor, window: Shape) -> Tensor:
    """The middle of an input, not larger than `window`."""
    for axis, length in enumerate(window, start=2):
        kept = min(length, x.shape[axis])
        x = x.narrow(axis, (x.shape[axis] - kept) // 2, kept)
    return x


def _demand(model: LoadedModel, stage: str, x: Tensor) -> Demand:
    spec = model.spec(stage)
    padded, _ = pad_to_multiple(x, spec.multiple_of)
    shape: Shape = (padded.shape[2], padded.shape[3], padded.shape[4])
    return Demand(
        shape=shape,
        multiple_of=spec.multiple_of,
        classes=class_count(model, stage),
        bytes_per_vox=model.bytes_per_vox(stage),
        can_window=spec.fixed_shape is None,
    )


def _check_classes(logits: Tensor, classes: int, builder: str) -> None:
    if logits.shape[0] != classes:
        raise WeightsError(
            f"'{builder}' answers with {logits.shape[0]} channels; the weights promise {classes}.",
            code="weights.classes",
        )


def _reason(precision: Precision, *, overflowed: bool) -> str:
    return f"{precision.name} overflowed on this image" if overflowed else precision.reason
