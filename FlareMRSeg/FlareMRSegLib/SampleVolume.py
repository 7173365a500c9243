"""The sample that needs no network: an artificial abdomen that a child process draws."""

from pathlib import Path
from typing import Any

import slicer

from FlareMRSegLib.ChosenPython import launch
from FlareMRSegLib.Job import Job
from FlareMRSegLib.JobRunner import JobRunner
from FlareMRSegLib.Translation import tr as _

CATEGORY = "FlareMR"
SAMPLE_NAME = "FlareMRPhantom"
FILE_NAME = "FlareMRPhantom.nrrd"
SPACING_MM = "3"
TIMEOUT_S = 120.0


def registerSample(thumbnail: str) -> None:
    """Offer the sample in the module Sample Data; called once Slicer has started."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        # Nothing is downloaded, so there is no address and no checksum: the bytes of the file
        # depend on the versions of numpy and zlib, its seed fixes what it shows.
        uris="",
        fileNames=FILE_NAME,
        nodeNames=SAMPLE_NAME,
        customDownloader=downloadSample,
        thumbnailFileName=thumbnail,
    )


def downloadSample(_source: Any = None) -> list[Any]:
    """Make the sample and load it; a list, as SampleData expects.

    Raises:
        RuntimeError: the child process failed; the message says why.
    """
    runner = JobRunner(launch)
    try:
        result = runner.wait(runner.start(sampleJob()), TIMEOUT_S)
    finally:
        runner.close()
    if result is None or not result.succeeded:
        error = result.error if result is not None else None
        reason = f"{error.message} {error.hint}" if error else _("It took too long.")
        raise RuntimeError(_("The sample could not be made: {why}").format(why=reason))
    return [result.value]


def sampleJob() -> Job:
    """The job that makes the sample; its value is the volume node."""
    return Job(
        _("Sample"),
        lambda folder: [
            *("phantom", "-o", str(folder / FILE_NAME)),
            *("--spacing", SPACING_MM, "--sequence", "venous", "--seed", "0"),
        ],
        lambda folder, _content: _load(folder / FILE_NAME),
    )


def _load(path: Path) -> Any:
    """The volume in the file, shown in the slice views; it forgets the file, which is deleted."""
    node = slicer.util.loadVolume(str(path), properties={"name": SAMPLE_NAME, "show": True})
    storage = node.GetStorageNode()
    if storage is not None:
        slicer.mrmlScene.RemoveNode(storage)
    return node
