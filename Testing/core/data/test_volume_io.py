"""Inputs that cannot be used, and formats read through SimpleITK."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import (
    frame_count,
    read_grid,
    read_volume,
    read_with_warnings,
    write_volume,
)
from FlareMRCore.errors import FlareMRError, GeometryError, InputError, UsageError

RAMP = np.arange(60, dtype=np.float32).reshape(5, 4, 3)


def nifti(path: Path, data: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path


def with_value(value: float) -> np.ndarray:
    data = RAMP.copy()
    data[2, 1, 1] = value
    return data


def shortened(path: Path, keep: int) -> Path:
    path.write_bytes(path.read_bytes()[:keep])
    return path


def rgb() -> np.ndarray:
    return np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


def itk(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def vector_image() -> sitk.Image:
    return sitk.GetImageFromArray(np.zeros((4, 4, 4, 3), "f4"), isVector=True)


def flipped_byte(path: Path) -> Path:
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF  # in the checksum of the gzip stream
    path.write_bytes(raw)
    return path


BAD = {
    "nan.nii": (lambda p: nifti(p, with_value(np.nan)), "input.not-finite"),
    "inf.nii.gz": (lambda p: nifti(p, with_value(np.inf)), "input.not-finite"),
    "too-large.nii": (
        lambda p: nifti(p, np.where(RAMP == 5, 1e300, RAMP.astype("f8"))), "input.not-finite"
    ),
    "constant.nii": (lambda p: nifti(p, np.full((4, 4, 4), 7.0, "f4")), "input.constant"),
    "zero.nii": (lambda p: nifti(p, np.zeros((4, 4, 4), "i2")), "input.all-zero"),
    "one-voxel.nii": (lambda p: nifti(p, np.ones((1, 1, 1), "i2")), "input.constant"),
    "flat.nii": (lambda p: nifti(p, np.zeros((4, 4), "i2")), "input.not-3d"),
    "rgb.nii": (lambda p: nifti(p, rgb()), "input.not-scalar"),
    "complex.nii": (lambda p: nifti(p, np.zeros((4, 4, 4), "c8")), "input.not-scalar"),
    "vector.nii": (lambda p: nifti(p, np.zeros((4, 4, 4, 1, 3), "f4")), "input.not-scalar"),
    "cut.nii": (lambda p: shortened(nifti(p, RAMP), 400), "input.truncated"),
    "cut-header.nii": (lambda p: shortened(nifti(p, RAMP), 200), "input.unreadable"),
    "cut.nii.gz": (lambda p: shortened(nifti(p, np.random.default_rng(0).random((20, 20, 20))),
                                       30_000), "input.truncated"),
    "cut-start.nii.gz": (lambda p: shortened(nifti(p, RAMP), 40), "input.unreadable"),
    "checksum.nii.gz": (lambda p: flipped_byte(nifti(p, RAMP)), "input.truncated"),
    "empty.nii.gz": (lambda p: p.write_bytes(b""), "input.empty-file"),
    "empty-inside.nii.gz": (lambda p: p.write_bytes(gzip.compress(b"")), "input.empty-file"),
    "text.nii": (lambda p: p.write_text("hello"), "input.unreadable"),
    "notes.txt": (lambda p: p.write_text("hello"), "input.unsupported-format"),
    "photo.png": (lambda p: itk(p, sitk.Image(4, 4, sitk.sitkUInt8)), "input.unsupported-format"),
    "flat.mha": (lambda p: itk(p, sitk.Image(4, 4, sitk.sitkInt16)), "input.not-3d"),
    "flat.nrrd": (lambda p: itk(p, sitk.Image(4, 4, sitk.sitkInt16)), "input.not-3d"),
    "vector.nrrd": (lambda p: itk(p, vector_image()), "input.not-scalar"),
    "cut.mha": (lambda p: shortened(itk(p, sitk.GetImageFromArray(RAMP)), 400), "input.unreadable"),
    "cut.nrrd": (
        lambda p: shortened(itk(p, sitk.GetImageFromArray(RAMP)), 400), "input.unreadable"
    ),
    "missing.nii": (lambda p: None, "input.missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_an_error_that_names_file_and_remedy(tmp_path, name, capfd):
    make, code = BAD[name]
    make(tmp_path / name)
    capfd.readouterr()
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / name)
    assert caught.value.code == code
    assert name in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["Größe 1.nii.gz", "肝臓 ñ.nrrd", "a b/c d é.mha", "x'y.nii"])
def test_names_with_blanks_umlauts_and_ideographs(tmp_path, oblique_volume, name):
    path = tmp_path / "Bücher 医" / name
    path.parent.mkdir(parents=True)
    write_volume(path, oblique_volume)
    result = read_with_warnings(path)
    np.testing.assert_array_equal(result.volume.array, oblique_volume.array)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f8"])
def test_itk_formats_agree_with_simpleitk(tmp_path, oblique_volume, suffix, dtype):
    image = sitk.GetImageFromArray(RAMP.astype(dtype))
    image.SetSpacing((1.2, 1.5, 7.7))
    image.SetOrigin((31.25, -12.5, 407.1))
    image.SetDirection((0, 0, -1, 0.6, 0.8, 0, 0.8, -0.6, 0))
    path = itk(tmp_path / f"in{suffix}", image)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, RAMP)
    for index in ((0, 0, 0), (2, 3, 4), (1, 0, 3)):
        lps = image.TransformIndexToPhysicalPoint(index)
        ras = (-lps[0], -lps[1], lps[2])
        np.testing.assert_allclose(volume.geometry.index_to_world(index[::-1]), ras, atol=1e-9)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_itk_formats_repeat_the_grid_to_the_last_bit(tmp_path, suffix):
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    image = sitk.GetImageFromArray(RAMP)
    image.SetSpacing((1.1, 1.3, 7.7))
    image.SetOrigin((31.1 / 3, -12.7 / 7, 407.1))
    image.SetDirection((turn * np.linalg.det(turn)).ravel().tolist())
    path = itk(tmp_path / f"in{suffix}", image)
    result = read_with_warnings(path)
    target = tmp_path / f"out{suffix}"
    write_volume(target, result.volume, like=result.grid)
    first, second = sitk.ReadImage(str(path)), sitk.ReadImage(str(target))
    assert first.GetOrigin() == second.GetOrigin()
    assert first.GetSpacing() == second.GetSpacing()
    assert first.GetDirection() == second.GetDirection()
    np.testing.assert_array_equal(read_grid(path).affine, read_grid(target).affine)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
def test_a_nifti_grid_reaches_other_formats_with_every_bit(tmp_path, oblique_volume, suffix):
    write_volume(tmp_path / "in.nii.gz", oblique_volume)
    source = read_with_warnings(tmp_path / "in.nii.gz")
    write_volume(tmp_path / f"out{suffix}", source.volume, like=source.grid)
    found = read_grid(tmp_path / f"out{suffix}").affine
    np.testing.assert_allclose(found, source.grid.affine, rtol=4e-16, atol=1e-15)
    if suffix != ".mha":  # MetaImage keeps lengths and directions apart
        np.testing.assert_array_equal(found, source.grid.affine)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_frames_of_4d_itk_files(tmp_path, suffix):
    data = np.arange(2 * 60, dtype=np.float32).reshape(2, 5, 4, 3)
    image = sitk.GetImageFromArray(data, isVector=False)
    image.SetSpacing((1.5, 2.5, 3.5, 1.0))
    path = itk(tmp_path / f"in{suffix}", image)
    assert frame_count(path) == 2
    result = read_with_warnings(path, frame=1)
    np.testing.assert_array_equal(result.volume.array, data[1])
    assert result.volume.geometry.spacing_mm == (3.5, 2.5, 1.5)


def test_nrrd_in_ras_space_lies_where_it_says(tmp_path):
    write_volume(tmp_path / "lps.nrrd", Volume(RAMP, read_grid(_ras_file(tmp_path)).geometry))
    ras = read_volume(tmp_path / "ras.nrrd")
    assert ras.geometry.origin == (1.0, 2.0, 3.0)
    assert ras.geometry.direction[2] == (1.0, 0.0, 0.0)
    assert read_volume(tmp_path / "lps.nrrd").geometry == ras.geometry


def _ras_file(folder: Path) -> Path:
    header = (
        "NRRD0004\ntype: float\ndimension: 3\nspace: right-anterior-superior\nsizes: 3 4 5\n"
        "space directions: (2,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\n"
        "endian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    path = folder / "ras.nrrd"
    path.write_bytes(header.encode() + RAMP.tobytes())
    return path


def test_warnings_go_to_the_log_when_not_asked_for(tmp_path, caplog):
    nifti(tmp_path / "4d.nii", np.stack([RAMP, RAMP], axis=-1))
    with caplog.at_level(logging.WARNING):
        read_volume(tmp_path / "4d.nii")
    assert "2 frames" in caplog.text


def test_a_result_on_another_grid_is_not_written(tmp_path, oblique_volume):
    write_volume(tmp_path / "in.nii.gz", oblique_volume)
    grid = read_grid(tmp_path / "in.nii.gz")
    part = Volume(oblique_volume.array[1:], oblique_volume.geometry.resized((4, 7, 9)))
    with pytest.raises(GeometryError) as caught:
        write_volume(tmp_path / "out.nii.gz", part, like=grid)
    assert caught.value.code == "geometry.mismatch"
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.parametrize("name", ["out.jpg", "out", "out.mhd"])
def test_unknown_output_suffixes_are_refused(tmp_path, oblique_volume, name):
    with pytest.raises(UsageError) as caught:
        write_volume(tmp_path / name, oblique_volume)
    assert caught.value.code == "output.format"


def test_a_missing_output_folder_is_named(tmp_path, oblique_volume):
    with pytest.raises(FlareMRError) as caught:
        write_volume(tmp_path / "nowhere" / "x.nii", oblique_volume)
    assert caught.value.code == "output.folder-missing"


def test_only_dicom_has_series_to_choose(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", RAMP)
    assert read_volume(path).geometry.shape == (3, 4, 5)
    with pytest.raises(InputError, match=r"'.*a\.nii\.gz' is not DICOM") as caught:
        read_volume(path, series="2")
    assert caught.value.code == "input.series"
