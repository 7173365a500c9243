"""Volumes of the scene, with or without a segmentation, as files of a data set."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from FlareMRSegLib.MrmlBridge import MrmlBridge
from FlareMRSegLib.SegmentationExport import exportSegmentation

from FlareMRCore.data.dataset_names import parse_sequence

CSV_NAME = "cases.csv"
COLUMNS = ("case", "patient", "modality", "sequence", "image", "label", "domain")


@dataclass(frozen=True)
class SceneCase:
    """A volume of the scene that may become a case.

    Attributes:
        volumeId: of the node.
        case: name of the case and of its files.
        patient: cases of one patient share it.
        modality: ``"CT"`` or ``"MR"``.
        sequence: e.g. ``"t2_fs"``.
        segmentationId: of the segmentation of this volume; empty without one.
    """

    volumeId: str
    case: str
    patient: str
    modality: str
    sequence: str
    segmentationId: str = ""


def sceneCases() -> list[SceneCase]:
    """Every usable volume of the scene, described by its name as far as that goes."""
    bridge = MrmlBridge()
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [_case(node) for node in nodes if not bridge.inputProblem(node)]


def exportCases(cases: Sequence[SceneCase], folder: Path) -> Path:
    """Write images, labels and a CSV file that describes them; the CSV file.

    Raises:
        FlareMRError: a volume is gone, or a segmentation has none of the organs.
    """
    rows = [_export(case, folder) for case in cases]
    with (folder / CSV_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder / CSV_NAME


def _case(node: Any) -> SceneCase:
    name = "".join(c if c.isalnum() or c in "-._" else "_" for c in node.GetName())
    words = name.upper().replace("-", "_").split("_")
    modality = "CT" if "CT" in words else "MR"
    sequence = modality if modality == "CT" else parse_sequence(name) or modality
    return SceneCase(node.GetID(), name, name, modality, sequence, _segmentationOf(node))


def _segmentationOf(volumeNode: Any) -> str:
    """Identifier of the first segmentation whose image the volume is."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        role = node.GetReferenceImageGeometryReferenceRole()
        if node.GetNodeReferenceID(role) == volumeNode.GetID():
            return str(node.GetID())
    return ""


def _export(case: SceneCase, folder: Path) -> dict[str, str]:
    scene = slicer.mrmlScene
    image = folder / f"{case.case}.nrrd"
    MrmlBridge().prepareInput(scene.GetNodeByID(case.volumeId), image)
    label = ""
    segmentation = scene.GetNodeByID(case.segmentationId) if case.segmentationId else None
    if segmentation is not None:
        label = exportSegmentation(segmentation, folder / f"{case.case}_label.nrrd")[0].name
    return {
        "case": case.case,
        "patient": case.patient,
        "modality": case.modality,
        "sequence": case.sequence,
        "image": image.name,
        "label": label,
        "domain": "source" if label else "target",
    }
