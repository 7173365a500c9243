"""Label maps and the names, colors and codes that travel with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareMRCore.data import atomic_file
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import (
    read_label_map,
    read_labels_with_warnings,
    sidecar_path,
    write_label_map,
)
from FlareMRCore.data.labels import LabelTable, organ_table
from FlareMRCore.data.nrrd_io import read_fields
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import FlareMRError, InputError

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd"]


@pytest.fixture
def label_map(oblique_geometry: Geometry) -> LabelMap:
    shape = oblique_geometry.shape
    values = (np.arange(np.prod(shape)) % 14).astype(np.uint8).reshape(shape)
    return LabelMap(values, oblique_geometry, organ_table())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_label_maps_return_with_values_grid_and_table(tmp_path, label_map, suffix):
    path = tmp_path / f"Fall 1 肝{suffix}"
    files = write_label_map(path, label_map)
    assert set(files) == set(tmp_path.iterdir())
    result = read_labels_with_warnings(path)
    assert result.warnings == ()
    np.testing.assert_array_equal(result.label_map.array, label_map.array)
    assert result.label_map.geometry.coincides(label_map.geometry, tolerance_mm=1e-4)
    assert result.label_map.labels == organ_table()
    itk = sitk.ReadImage(str(path))
    assert itk.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), label_map.array)


def test_slicer_finds_names_colors_values_and_terminology(tmp_path, label_map):
    path = tmp_path / "case.seg.nrrd"
    write_label_map(path, label_map)
    image = sitk.ReadImage(str(path))
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert header["Segmentation_SourceRepresentation"] == "Binary labelmap"
    assert header["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    for number, label in enumerate(organ_table()):
        segment = {
            key.removeprefix(f"Segment{number}_"): value
            for key, value in header.items()
            if key.startswith(f"Segment{number}_")
        }
        assert segment["ID"] == label.id
        assert segment["Name"] == label.name
        assert segment["LabelValue"] == str(label.value)
        assert segment["Layer"] == "0"
        assert segment["Extent"] == "0 8 0 6 0 4"
        color = [float(channel) * 255 for channel in segment["Color"].split()]
        np.testing.assert_allclose(color, label.color, atol=0.01)
    assert "Segment13_ID" not in header
    assert (
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^24028007^Right"
        "~Anatomic codes - DICOM master list~^^~^^|"
    ) in header["Segment1_Tags"]
    assert "~SCT^10200004^Liver~^^~" in header["Segment0_Tags"]
    for entry in (tags for key, tags in header.items() if key.endswith("_Tags")):
        terminology = entry.split("TerminologyEntry:")[1].split("|")[0]
        assert len(terminology.split("~")) == 7


def test_a_subset_lists_its_organs_only(tmp_path, label_map):
    table = organ_table().subset(("spleen", "left_kidney"))
    values = np.where(np.isin(label_map.array, table.values), label_map.array, 0)
    write_label_map(tmp_path / "a.seg.nrrd", LabelMap(values, label_map.geometry, table))
    fields = read_fields(tmp_path / "a.seg.nrrd")
    assert fields["Segment1_LabelValue"] == "13"
    assert "Segment2_ID" not in fields


def test_the_sidecar_names_every_value(tmp_path, label_map):
    path, sidecar = write_label_map(tmp_path / "case.one.nii.gz", label_map)
    assert sidecar == sidecar_path(path) == tmp_path / "case.one.labels.json"
    content = json.loads(sidecar.read_text(encoding="utf-8"))
    assert [entry["value"] for entry in content["labels"]] == list(range(1, 14))
    kidney = content["labels"][1]
    assert kidney["id"] == "right_kidney"
    assert kidney["color"] == [185, 102, 83]
    assert kidney["type"] == {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"}
    assert kidney["modifier"] == {"scheme": "SCT", "value": "24028007", "meaning": "Right"}


def test_structures_are_matched_by_identity_not_by_number(tmp_path, label_map):
    path, sidecar = write_label_map(tmp_path / "case.nii.gz", label_map)
    swapped = json.loads(sidecar.read_text(encoding="utf-8"))
    first, second = swapped["labels"][:2]
    first["value"], second["value"] = second["value"], first["value"]
    swapped["labels"][12]["id"] = "bladder"
    sidecar.write_text(json.dumps(swapped), encoding="utf-8")
    result = read_labels_with_warnings(path)
    expected = np.array([0, 2, 1, *range(3, 13), 0], np.uint8)[label_map.array]
    np.testing.assert_array_equal(result.label_map.array, expected)
    assert "bladder" in result.warnings[0]


def test_values_without_a_description_are_kept_only_without_a_sidecar(tmp_path, label_map):
    path, sidecar = write_label_map(
        tmp_path / "a.nii", LabelMap(label_map.array + 20, label_map.geometry, LabelTable(()))
    )
    result = read_labels_with_warnings(path)
    assert result.label_map.array.max() == 0
    assert "value 33" in result.warnings[0]
    sidecar.unlink()
    np.testing.assert_array_equal(read_label_map(path).array, label_map.array + 20)


def test_segments_renamed_or_renumbered_in_slicer_are_found(tmp_path, label_map):
    path = tmp_path / "a.seg.nrrd"
    write_label_map(path, label_map)
    raw = path.read_bytes()
    raw = raw.replace(b"Segment0_Name:=liver", b"Segment0_Name:=Leber")
    raw = raw.replace(b"Segment0_ID:=liver", b"Segment0_ID:=Segment_1")
    raw = raw.replace(b"Segment0_LabelValue:=1\n", b"Segment0_LabelValue:=3\n")
    raw = raw.replace(b"Segment2_LabelValue:=3\n", b"Segment2_LabelValue:=1\n")
    path.write_bytes(raw)
    result = read_label_map(path)
    expected = np.array([0, 3, 2, 1, *range(4, 14)], np.uint8)[label_map.array]
    np.testing.assert_array_equal(result.array, expected)


def test_overlapping_segments_of_slicer_lie_in_layers(tmp_path):
    layers = np.zeros((3, 4, 5, 2), np.uint8)  # (K, J, I, layer)
    layers[:, :2, :, 0] = 1
    layers[:, 1:3, :, 1] = 1
    image = sitk.GetImageFromArray(layers, isVector=True)
    for number, (name, layer) in enumerate((("Liver", "0"), ("right kidney", "1"))):
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{number}")
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", "1")
        image.SetMetaData(f"Segment{number}_Layer", layer)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    array = read_label_map(tmp_path / "a.seg.nrrd").array
    np.testing.assert_array_equal(array[1, :, 2], [1, 2, 2, 0])


@pytest.mark.parametrize("bad", [0.5, -1.0, 256.0, np.nan])
def test_what_is_no_label_map_is_refused(tmp_path, oblique_volume, bad):
    array = np.zeros_like(oblique_volume.array)
    array[1, 1, 1] = bad
    write_volume(tmp_path / "a.nii", Volume(array, oblique_volume.geometry))
    with pytest.raises(InputError) as caught:
        read_label_map(tmp_path / "a.nii")
    assert caught.value.code == "input.not-labels"
    assert "a.nii" in str(caught.value)


@pytest.mark.parametrize("text", ["{", "{}", '{"labels": [{"id": "liver", "value": 300}]}'])
def test_a_damaged_sidecar_is_named(tmp_path, label_map, text):
    path, sidecar = write_label_map(tmp_path / "a.nii", label_map)
    sidecar.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_label_map(path)
    assert caught.value.code == "input.labels-file"


def test_an_empty_label_map_is_a_label_map(tmp_path, label_map):
    empty = LabelMap(np.zeros_like(label_map.array), label_map.geometry, organ_table())
    for suffix in SUFFIXES:
        write_label_map(tmp_path / f"a{suffix}", empty)
        assert not read_label_map(tmp_path / f"a{suffix}").array.any()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_fails_leaves_the_old_label_map(tmp_path, label_map, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    write_label_map(path, label_map)
    before = path.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(atomic_file.os, "fsync", refuse)
    changed = LabelMap(label_map.array // 2, label_map.geometry, organ_table())
    with pytest.raises(FlareMRError) as caught:
        write_label_map(path, changed)
    assert caught.value.code == "output.disk-full"
    assert path.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".partial")]


def test_real_label_maps_keep_their_grid(tmp_path, shared_data):
    path: Path = sorted((shared_data / "mr_chaos_t2spir").glob("*label*.nii.gz"))[0]
    result = read_labels_with_warnings(path)
    assert set(np.unique(result.label_map.array)) <= {0, 1, 2, 3, 13}
    write_label_map(tmp_path / "out.nii.gz", result.label_map, like=result.grid)
    again = read_labels_with_warnings(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(again.grid.affine, result.grid.affine)
    np.testing.assert_array_equal(again.label_map.array, result.label_map.array)
