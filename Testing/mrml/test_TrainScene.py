"""Files of runs and data sets as nodes: the same voxels at the same place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import FlareMRError

pytest.importorskip("slicer", reason="needs the package slicer-core")


@pytest.fixture
def files(tmp_path: Path, oblique_geometry: Geometry) -> tuple[Path, Path]:
    shape = oblique_geometry.shape
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:5, 3:6] = organ_table().by_id("liver").value
    labels[3:5, 2:5, 1:3] = organ_table().by_id("spleen").value
    image, label = tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz"
    write_volume(image, Volume(array, oblique_geometry))
    write_label_map(label, LabelMap(labels, oblique_geometry, organ_table()))
    return image, label


def test_volume_and_labels_lie_where_the_files_say(
    scene: Any, files: tuple[Path, Path], oblique_geometry: Geometry
) -> None:
    import slicer.util
    from FlareMRSegLib.MrmlGeometry import ijkToRas
    from FlareMRSegLib.SegmentationExport import organLabels
    from FlareMRTrainLib.TrainScene import addLabels, addVolume

    volume = addVolume(files[0], "case")
    array = slicer.util.arrayFromVolume(volume)
    assert array.shape == oblique_geometry.shape
    matrix = ijkToRas(volume)
    expected = oblique_geometry.affine @ [4, 6, 8, 1]  # the last voxel, as (k, j, i)
    assert matrix @ [8, 6, 4, 1] == pytest.approx(expected, abs=1e-3)
    assert array[4, 6, 8] == array.max()
    segmentation = addLabels(files[1], "case labels", volume)
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    labels, grid = organLabels(segmentation)
    assert labels.shape == oblique_geometry.shape
    assert grid == pytest.approx(matrix, abs=1e-3)
    assert (labels == organ_table().by_id("liver").value).sum() == 18


def test_a_file_is_read_once(scene: Any, files: tuple[Path, Path]) -> None:
    from FlareMRTrainLib.TrainScene import addLabels, addVolume

    volume = addVolume(files[0], "case")
    assert addVolume(files[0], "again") is volume
    assert addLabels(files[1], "l", volume) is addLabels(files[1], "l", volume)
    with pytest.raises(FlareMRError):
        addVolume(files[0].with_name("missing.nii.gz"), "missing")
