"""What is told about one segmentation: values that turn into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

PHASES = ("load", "preprocess", "coarse", "fine", "upsample", "postprocess", "save")
"""Phases of a job in order; `load` and `save` are timed by whoever reads and writes files."""


@dataclass(frozen=True, slots=True)
class OrganResult:
    """One organ of a result.

    Attributes:
        value: label value.
        volume_ml: volume in milliliters; 0 if missing.
        mean_intensity: mean of the input image inside, in its own unit; None if missing.
        confidence: mean probability the network gives its own voxels, 0 to 1; None if missing.
        agreement: mean Dice between the views, 0 to 1; None with one view or if missing in all.
        flags: of ``missing``, ``touches-border``, ``fragmented``, ``implausible-volume``.
    """

    id: str
    name: str
    value: int
    volume_ml: float
    mean_intensity: float | None
    confidence: float | None
    agreement: float | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageReport:
    """How one network ran.

    Attributes:
        stage: ``"coarse"`` or ``"fine"``.
        network: name of its builder.
        input_shape: voxels (K, J, I) of the input.
        spacing_mm: voxel size (K, J, I) of the input.
        views: names of the views that were averaged.
        window_shape: voxels (K, J, I) of a sliding window; None if the input ran in one piece.
        device: where it ran.
        precision: number format.
        precision_reason: why this number format.
        estimated_mb: memory it was expected to need at once.
        free_mb: memory that was free before.
        steps: how it was made smaller to fit into memory, one sentence each.
    """

    stage: str
    network: str
    input_shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    views: tuple[str, ...]
    window_shape: tuple[int, int, int] | None
    device: str
    precision: str
    precision_reason: str
    estimated_mb: float
    free_mb: float
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentationReport:
    """Everything worth knowing about one segmentation besides the labels.

    Attributes:
        weights_id: identifier of the weights.
        weights_version: their version.
        weights_sha256: hash of each of their files, by file name.
        mode: ``"fast"``, ``"standard"`` or ``"accurate"``.
        device: where the networks ran; a stage that had to move says so itself.
        device_reason: why there.
        threads: processor threads of torch.
        seconds: time by phase, see `PHASES`; phases that did not happen are 0.
        peak_memory_mb: most main memory the process held since its start.
        peak_device_memory_mb: most memory held on the graphics card; 0 without one.
        roi_low_mm: lowest RAS mm of the region the last network looked at, voxel edges.
        roi_high_mm: highest RAS mm of that region.
        roi_is_whole: True if it is all of the image but constant padding.
        roi_note: how the region was found, in words.
        stages: one entry per network that ran.
        warnings: what the user should know.
        organs: one entry per wanted organ, in order of value.
        options: the options of the job, as asked for.
    """

    weights_id: str
    weights_version: str
    weights_sha256: Mapping[str, str]
    mode: str
    device: str
    device_reason: str
    threads: int
    seconds: Mapping[str, float]
    peak_memory_mb: float
    peak_device_memory_mb: float
    roi_low_mm: tuple[float, float, float]
    roi_high_mm: tuple[float, float, float]
    roi_is_whole: bool
    roi_note: str
    stages: tuple[StageReport, ...]
    warnings: tuple[str, ...]
    organs: tuple[OrganResult, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def with_seconds(self, phase: str, seconds: float) -> SegmentationReport:
        """The report with the time of one phase set, for those outside of the engine."""
        return replace(self, seconds={**self.seconds, phase: seconds})
