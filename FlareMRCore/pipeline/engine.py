"""The segmentation engine, opened once and used for any number of images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from FlareMRCore.data.volume import Volume
from FlareMRCore.progress import Reporter
from FlareMRCore.weights.store import WeightsStore

if TYPE_CHECKING:
    from FlareMRCore.inference.segmentation import SegmentResult

SegmentFunction = Callable[[Volume, Reporter], "SegmentResult"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What decides about the labels, and where they are computed.

    Attributes:
        weights: identifier or path; None for the default weights.
        mode: ``"fast"``, ``"standard"`` or ``"accurate"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        organs: identifiers of the wanted organs; empty for all.
        tta: largest number of views that are averaged; None leaves it to the mode.
        threads: processor threads; None for torch's own choice.
        allow_ct: go on if the image looks like CT.
        confidence_map: also compute the probability of each voxel's label.
    """

    weights: str | None = None
    mode: str = "standard"
    device: str = "auto"
    organs: tuple[str, ...] = ()
    tta: int | None = None
    threads: int | None = None
    allow_ct: bool = False
    confidence_map: bool = False


@dataclass(frozen=True, slots=True)
class Engine:
    """Weights that are loaded, and the function that applies them.

    Attributes:
        weights_id: identifier of the weights.
        weights_sha256: hash of each of their files, by name.
        segment: labels and report of one image.
        load_s: seconds it took to load the weights.
    """

    weights_id: str
    weights_sha256: Mapping[str, str]
    segment: SegmentFunction
    load_s: float = 0.0


def open_engine(options: EngineOptions, reporter: Reporter) -> Engine:
    """Find the weights, check them and load the networks.

    Raises:
        WeightsError: no such weights, or files that are missing or damaged.
        UsageError: no such device, mode or organ.
        ModuleNotFoundError: torch is not installed.
    """
    start = time.perf_counter()
    reporter.advance("load", 0, 2)
    entry, files = WeightsStore().resolve(options.weights)
    # Here, so that everything but the segmentation itself works without torch.
    from FlareMRCore.inference.segmentation import SegmentOptions, load_model, segment

    reporter.advance("load", 1, 2)
    model = load_model(entry, files, device=options.device)
    settings = SegmentOptions(
        mode=options.mode,
        organs=options.organs,
        tta=options.tta,
        threads=options.threads,
        allow_ct=options.allow_ct,
        confidence_map=options.confidence_map,
    )

    def run(volume: Volume, job_reporter: Reporter) -> SegmentResult:
        return segment(volume, model, settings, job_reporter)

    reporter.advance("load", 2, 2)
    hashes = {file.name: file.sha256 for file in entry.files}
    return Engine(entry.id, hashes, run, time.perf_counter() - start)
