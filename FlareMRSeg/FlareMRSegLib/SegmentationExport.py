"""Results as files: label maps, segmentations, surfaces, DICOM SEG."""

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import SEGMENTATION_SUFFIX, write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import InputError, UsageError
from FlareMRSegLib.MrmlBridge import segmentIdsByOrgan
from FlareMRSegLib.MrmlGeometry import ijkToRas
from FlareMRSegLib.Translation import tr as _

NIFTI = ".nii.gz"
NRRD = ".seg.nrrd"
STL = ".stl"
FORMATS = (NIFTI, NRRD, STL)
"""Formats the module offers; `exportSegmentation` writes some more label maps."""

SURFACE_TYPES = ("STL", "OBJ")


def formatTitles() -> dict[str, str]:
    """What people read for each format."""
    return {
        NIFTI: _("NIfTI label map (*.nii.gz)"),
        NRRD: _("Segmentation (*.seg.nrrd)"),
        STL: _("Surfaces, one STL file for each organ"),
    }


def exportSegmentation(
    segmentationNode: Any, path: Path, suffix: str | None = None
) -> tuple[Path, ...]:
    """Write the segmentation on the grid of its input; the files written.

    The format is that of the name. With `suffix` ``".stl"`` surfaces go into the folder `path`.

    `.seg.nrrd` holds every segment. The other formats (.nii.gz, .nii, .nrrd, .mha) hold the
    organs with FLARE's numbers and get a labels JSON beside them. Like the input itself when it
    is saved, the file lies without what parent transforms add.

    Raises:
        UsageError: it cannot be written.
        InputError: there is no organ in it.
    """
    if suffix == STL:
        path.mkdir(parents=True, exist_ok=True)
        return exportSurfaces(segmentationNode, path)
    if path.name.lower().endswith(SEGMENTATION_SUFFIX):
        return (_writeSegmentation(segmentationNode, path),)
    labels, matrix = organLabels(segmentationNode)
    geometry = Geometry.from_affine(matrix[:, [2, 1, 0, 3]], labels.shape)
    present = tuple(segmentIdsByOrgan(segmentationNode))
    table = organ_table().subset(present)
    return write_label_map(path, LabelMap(labels, geometry, table))


def organLabels(segmentationNode: Any) -> tuple[np.ndarray, np.ndarray]:
    """FLARE labels (K, J, I) on the reference grid of the segmentation, and IJK to RAS.

    Raises:
        InputError: no segment is one of the organs.
    """
    segmentIds = segmentIdsByOrgan(segmentationNode)
    if not segmentIds:
        raise InputError(_("The segmentation has none of the organs."), code="input.no-organs")
    scene = segmentationNode.GetScene()
    before = _colorTableIds(scene)
    labelNode = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "FlareMR export")
    ids = vtk.vtkStringArray()
    for segmentId in segmentIds.values():
        ids.InsertNextValue(segmentId)
    try:
        # Without a reference the result would be cut down to the segments.
        done = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
            segmentationNode,
            ids,
            labelNode,
            _referenceVolume(segmentationNode),
            slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY,
        )
        if not done:
            raise InputError(_("The segments cannot be exported."), code="input.no-organs")
        numbers = slicer.util.arrayFromVolume(labelNode)
        lookup = np.zeros(256, np.uint8)
        for number, organ in enumerate(segmentIds, start=1):
            lookup[number] = organ_table().by_id(organ).value
        return lookup[numbers], ijkToRas(labelNode)
    finally:
        for nodeId in (labelNode.GetDisplayNodeID(), *_colorTableIds(scene) - before):
            if nodeId:
                scene.RemoveNode(scene.GetNodeByID(nodeId))
        scene.RemoveNode(labelNode)


def exportSurfaces(segmentationNode: Any, folder: Path, fileType: str = "STL") -> tuple[Path, ...]:
    """Write one surface file (`SURFACE_TYPES`) for each segment; the files, in LPS mm.

    Raises:
        UsageError: nothing could be written.
    """
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*")}
    segmentationNode.CreateClosedSurfaceRepresentation()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    done = logic.ExportSegmentsClosedSurfaceRepresentationToFiles(
        str(folder), segmentationNode, None, fileType, True, 1.0, False
    )
    written = (p for p in folder.glob("*") if before.get(p) != p.stat().st_mtime_ns)
    files = tuple(sorted(written))
    if not done or not files:
        raise UsageError(
            _("No surface could be written into '{folder}'.").format(folder=folder),
            code="output.not-writable",
        )
    return files


def canExportDicom() -> bool:
    """Whether the extension QuantitativeReporting, which writes DICOM SEG, is installed."""
    try:
        import DICOMSegmentationPlugin
    except ImportError:
        return False
    return hasattr(DICOMSegmentationPlugin, "DICOMSegmentationPluginClass")


def exportDicom(segmentationNode: Any, folder: Path) -> None:
    """Write DICOM SEG with the names and codes of the segments.

    Raises:
        UsageError: QuantitativeReporting is missing, or the input does not come from DICOM.
    """
    if not canExportDicom():
        raise UsageError(
            _("DICOM SEG needs the Slicer extension QuantitativeReporting."),
            code="output.no-dicom-seg",
            hint=_("Install it in the Extensions Manager."),
        )
    import DICOMSegmentationPlugin

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(
        segmentationNode.GetScene()
    )
    plugin = DICOMSegmentationPlugin.DICOMSegmentationPluginClass()
    exportables = plugin.examineForExport(hierarchy.GetItemByDataNode(segmentationNode))
    for exportable in exportables:
        exportable.directory = str(folder)
    problem = plugin.export(exportables) if exportables else _("nothing can be exported")
    if problem:
        raise UsageError(
            _("DICOM SEG was not written: {problem}").format(problem=problem),
            code="output.no-dicom-seg",
            hint=_("The input must have been loaded from DICOM."),
        )


def _referenceVolume(segmentationNode: Any) -> Any:
    """The input, if it is still there; else the grid is remembered by the segmentation itself."""
    role = segmentationNode.GetReferenceImageGeometryReferenceRole()
    return segmentationNode.GetNodeReference(role)


def _writeSegmentation(segmentationNode: Any, path: Path) -> Path:
    # A storage node of its own: the scene goes on to save the node where it did before.
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(segmentationNode):
        raise UsageError(
            _("'{path}' cannot be written.").format(path=path), code="output.not-writable"
        )
    return path


def _colorTableIds(scene: Any) -> set[str]:
    """The export makes a color table of its own for every label map."""
    name = "vtkMRMLColorTableNode"
    count = scene.GetNumberOfNodesByClass(name)
    return {scene.GetNthNodeByClass(n, name).GetID() for n in range(count)}
