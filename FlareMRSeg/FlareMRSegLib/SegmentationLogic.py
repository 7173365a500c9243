"""Segmentation of volume nodes in child processes, for the widget and for scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from FlareMRCore.errors import InputError, UsageError
from FlareMRCore.pipeline.case_record import read_record
from FlareMRCore.pipeline.output_paths import make_folder
from FlareMRSegLib.Expectations import REFERENCE_VOXELS, Expectation, Expectations
from FlareMRSegLib.Job import Job, JobResult, commandJob
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.MrmlBridge import MrmlBridge, PreparedInput
from FlareMRSegLib.Options import SegmentationOptions
from FlareMRSegLib.SequenceBridge import addSegmentationSequence, framesOf
from FlareMRSegLib.Signal import Signal
from FlareMRSegLib.Translation import tr as _

INPUT_NAME = "input.nrrd"
RESULT_NAME = "result.nrrd"
CONFIDENCE_NAME = "confidence.nrrd"
GIGABYTE = 1024**3


@dataclass(frozen=True)
class DeviceInfo:
    """A processor that the engine can use; `name` is what the options take."""

    name: str
    title: str
    freeBytes: int

    @property
    def label(self) -> str:
        """What people choose from."""
        free = _("{free:.1f} GB free").format(free=self.freeBytes / GIGABYTE)
        return f"{self.name}: {self.title}, {free}"


@dataclass(frozen=True)
class SegmentationOutcome:
    """What a run added to the scene, by node identifiers, and what it told.

    Attributes:
        record: of the case, see `FlareMRCore.pipeline.case_record`; of the first frame for a
            sequence.
        notes: what the user should know, warnings of the engine included.
    """

    segmentationNodeId: str
    inputVolumeId: str
    record: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    confidenceNodeId: str | None = None
    sequenceNodeId: str | None = None


class SegmentationLogic:
    """Segments volumes of the scene, one after another, each in a process of its own.

    Signals: `devicesChanged` (tuple of DeviceInfo). Progress and results come from `runner`.

    Args:
        runner: runs the segmentations.
        bridge: between scene and files.
        tools: runs the short jobs, so that they need not wait for a segmentation.
        expectations: remembers what runs took.
    """

    def __init__(
        self,
        runner: JobRunner | None = None,
        bridge: MrmlBridge | None = None,
        *,
        tools: JobRunner | None = None,
        expectations: Expectations | None = None,
    ) -> None:
        self.devicesChanged = Signal("devices")
        self.runner = runner or JobRunner()
        self.bridge = bridge or MrmlBridge()
        self.tools = tools or JobRunner()
        self.expectations = expectations or Expectations()
        self.devices: tuple[DeviceInfo, ...] = ()
        self.runner.finished.connect(self._learn)

    def segmentVolume(
        self,
        inputVolume: Any,
        outputSegmentation: Any = None,
        options: SegmentationOptions | None = None,
        wait: bool = True,  # noqa: FBT001 - scripts call it as the documentation says
        *,
        roi: Any = None,
    ) -> JobResult | int:
        """Segment a volume node.

        Args:
            inputVolume: scalar volume node.
            outputSegmentation: node that gets the organs; None for a new one.
            options: how; None for the defaults.
            wait: return when it is done; else at once, and `runner.finished` tells the end.
            roi: markups ROI node; only what lies inside is segmented.

        Returns:
            The result, whose `value` is a `SegmentationOutcome` if it succeeded; the number of
            the job if `wait` is False.

        Raises:
            UsageError: it cannot be started; the message says why.
        """
        options = options or SegmentationOptions()
        self._checkReady(inputVolume, outputSegmentation, options)
        job = self.volumeJob(inputVolume, outputSegmentation, options, roi=roi)
        return self._run(job, wait=wait)

    def segmentSequence(
        self, inputVolume: Any, options: SegmentationOptions | None = None, *, wait: bool = True
    ) -> JobResult | int:
        """As `segmentVolume`, for every frame of the sequence that `inputVolume` shows.

        The new segmentation node follows the browser of the input.

        Raises:
            UsageError: it cannot be started, or the volume is no part of a sequence.
        """
        options = options or SegmentationOptions()
        self._checkReady(inputVolume, None, options)
        if framesOf(inputVolume) is None:
            raise UsageError(_("The input is not part of a sequence."), code="usage.sequence")
        return self._run(self.sequenceJob(inputVolume, options), wait=wait)

    def reasonsNotToRun(
        self, inputVolume: Any, outputSegmentation: Any, options: SegmentationOptions
    ) -> tuple[str, ...]:
        """Sentences that say why Apply is disabled; empty if it is not."""
        inputProblem = self.bridge.inputProblem(inputVolume)
        outputProblem = self.bridge.outputProblem(outputSegmentation, inputVolume)
        found = (inputProblem, outputProblem, *options.problems())
        return tuple(text for text in found if text)

    def expectation(self, options: SegmentationOptions, inputVolume: Any = None) -> Expectation:
        """What a run will take."""
        voxels = REFERENCE_VOXELS
        image = inputVolume.GetImageData() if inputVolume is not None else None
        if image is not None:
            voxels = image.GetNumberOfPoints()
        device = options.device
        if device == "auto":
            device = next((d.name for d in self.devices if d.name.startswith("cuda")), "cpu")
        return self.expectations.expect(options.mode, device, voxels)

    def requestDevices(self) -> None:
        """Ask a child process which devices there are; `devicesChanged` follows."""

        def collect(_folder: Path, content: Mapping[str, Any]) -> None:
            self.devices = tuple(
                DeviceInfo(str(d["name"]), str(d["title"]), int(d["free_bytes"]))
                for d in content.get("devices", ())
            )
            self.devicesChanged.emit(self.devices)

        job = commandJob(_("Devices"), ["devices"])
        self.tools.start(Job(job.name, job.prepare, collect))

    def volumeJob(
        self,
        inputVolume: Any,
        outputSegmentation: Any,
        options: SegmentationOptions,
        *,
        roi: Any = None,
    ) -> Job:
        """The job that segments a volume node; nodes are looked up again when its turn comes."""
        volumeId, outputId, roiId = (
            node.GetID() if node is not None else None
            for node in (inputVolume, outputSegmentation, roi)
        )
        prepared: list[PreparedInput] = []

        def prepare(folder: Path) -> Sequence[str]:
            prepared[:] = [
                self.bridge.prepareInput(
                    self._node(volumeId), folder / INPUT_NAME, roi=self._node(roiId)
                )
            ]
            words = ["segment", str(folder / INPUT_NAME), "-o", str(folder / RESULT_NAME)]
            if options.confidenceMap:
                words += ["--confidence-map", str(folder / CONFIDENCE_NAME)]
            return [*words, *options.arguments()]

        def collect(folder: Path, content: Mapping[str, Any]) -> SegmentationOutcome:
            record = content["case"]
            return self._addToScene(folder, prepared[0], options, record, self._node(outputId))

        return Job(inputVolume.GetName(), prepare, collect)

    def fileJob(self, inputPath: Path, outputPath: Path, options: SegmentationOptions) -> Job:
        """The job that segments a file into a file; its value is the record of the case."""

        def prepare(_folder: Path) -> Sequence[str]:
            make_folder(outputPath.parent)
            words = ["segment", str(inputPath), "-o", str(outputPath), "--frame", "0"]
            return [*words, *options.arguments()]

        return Job(inputPath.name, prepare, lambda _folder, content: content.get("case", {}))

    def sequenceJob(self, inputVolume: Any, options: SegmentationOptions) -> Job:
        """The job that segments every frame of a sequence with one process."""
        volumeId = inputVolume.GetID()
        prepared: list[PreparedInput] = []

        def prepare(folder: Path) -> Sequence[str]:
            volumeNode = self._node(volumeId)
            frames = framesOf(volumeNode)
            if frames is None:
                raise InputError(_("The sequence was removed."), code="input.removed")
            paths = [folder / f"frame{n:04d}.nrrd" for n in range(len(frames))]
            prepared[:] = [
                self.bridge.prepareInput(volumeNode, path, frameNode=frames.volume(n))
                for n, path in enumerate(paths)
            ]
            results = folder / "results"
            results.mkdir()
            words = ["segment", *map(str, paths), "-o", str(results), "--format", ".nrrd"]
            return [*words, *options.arguments()]

        def collect(folder: Path, _content: Mapping[str, Any]) -> SegmentationOutcome:
            return self._addSequence(folder / "results", prepared, options)

        return Job(inputVolume.GetName(), prepare, collect)

    def close(self) -> None:
        """Stop all jobs; Slicer quits, or the module is reloaded."""
        self.runner.close()
        self.tools.close()

    def _run(self, job: Job, *, wait: bool) -> JobResult | int:
        jobId = self.runner.start(job)
        if not wait:
            return jobId
        result = self.runner.wait(jobId)
        if result is None:
            raise RuntimeError("The runner was closed while it was waited for.")
        return result

    def _checkReady(self, inputVolume: Any, output: Any, options: SegmentationOptions) -> None:
        reasons = self.reasonsNotToRun(inputVolume, output, options)
        if reasons:
            raise UsageError(" ".join(reasons), code="usage.not-ready")

    def _addToScene(
        self,
        folder: Path,
        prepared: PreparedInput,
        options: SegmentationOptions,
        record: Mapping[str, Any],
        output: Any,
    ) -> SegmentationOutcome:
        labels = self.bridge.readLabels(folder / RESULT_NAME, prepared)
        node = self.bridge.addResult(
            labels, prepared, options=options, record=record, segmentationNode=output
        )
        self.bridge.show3d(node, visible=options.show3d, smoothing=options.smoothing)
        confidence = None
        if options.confidenceMap:
            confidence = self.bridge.addConfidence(folder / CONFIDENCE_NAME, prepared)
        return SegmentationOutcome(
            segmentationNodeId=node.GetID(),
            inputVolumeId=prepared.volumeId,
            record=record,
            notes=(*prepared.notes, *record.get("warnings", ())),
            confidenceNodeId=confidence.GetID() if confidence else None,
        )

    def _addSequence(
        self, folder: Path, prepared: Sequence[PreparedInput], options: SegmentationOptions
    ) -> SegmentationOutcome:
        frames = framesOf(self.bridge.volumeOf(prepared[0]))
        if frames is None:
            raise InputError(_("The sequence was removed."), code="input.removed")
        nodes, records = [], []
        for number, source in enumerate(prepared):
            name = f"frame{number:04d}"
            record = read_record(folder / "reports" / f"{name}.json").as_dict()
            labels = self.bridge.readLabels(folder / f"{name}.nrrd", source)
            nodes.append(self.bridge.addResult(labels, source, options=options, record=record))
            records.append(record)
        sequence = addSegmentationSequence(frames, nodes[0], nodes)
        for node in nodes[1:]:
            self.bridge.scene.RemoveNode(node)
        self.bridge.show3d(nodes[0], visible=options.show3d, smoothing=options.smoothing)
        warnings = dict.fromkeys(text for record in records for text in record["warnings"])
        return SegmentationOutcome(
            segmentationNodeId=nodes[0].GetID(),
            inputVolumeId=prepared[0].volumeId,
            record=records[0],
            notes=(*prepared[0].notes, *warnings),
            sequenceNodeId=sequence.GetID(),
        )

    def _node(self, nodeId: str | None) -> Any:
        return self.bridge.scene.GetNodeByID(nodeId) if nodeId else None

    def _learn(self, result: JobResult) -> None:
        if isinstance(result.value, SegmentationOutcome) and result.value.sequenceNodeId is None:
            self.expectations.learn(result.value.record, result.seconds)
