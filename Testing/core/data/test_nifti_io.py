"""NIfTI files: nibabel says what is in them, our reader and writer must agree."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import write_label_map
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import (
    frame_count,
    read_grid,
    read_volume,
    read_with_warnings,
    write_volume,
)
from FlareMRCore.errors import GeometryError, InputError

SHAPE_IJK = (4, 3, 5)
SPACING = (1.25, 0.75, 7.7)
FORMS = ("qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y")
FORMS += ("qoffset_z", "quatern_b", "quatern_c", "quatern_d")
ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def oriented_affine(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (row, sign) in enumerate(zip(order, signs, strict=True)):
        affine[row, axis] = sign * SPACING[axis]
    affine[:3, 3] = (-12.3, 45.6, 78.9)
    return affine


def turned(affine: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = turn[:2, :2]
    return turn @ tilt @ affine


def numbered(shape: tuple[int, ...] = SHAPE_IJK, dtype: str = "int16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(None, 0)
    image.set_sform(affine, 1)
    nib.save(image, path)
    return path


def poke(path: Path, offset: int, *values: object) -> None:
    """Overwrite header fields behind nibabel's back, which keeps headers consistent."""
    raw = bytearray(path.read_bytes())
    content = b"".join(np.asarray(value).tobytes() for value in values)
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)


NO_FORMS = (252, np.int16(0), np.int16(0))


def assert_same_world(volume: Volume, image: nib.Nifti1Image, atol: float = 1e-4) -> None:
    data = np.asarray(image.dataobj)
    np.testing.assert_array_equal(volume.array, data.T.astype(np.float32))
    ijk = np.argwhere(np.ones(data.shape))
    expected = nib.affines.apply_affine(image.affine, ijk)
    found = volume.geometry.index_to_world(ijk[:, ::-1])
    np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_every_orientation_is_read_and_written_at_its_place(tmp_path, order, signs):
    path = save(tmp_path / "in.nii", numbered(), oriented_affine(order, signs))
    result = read_with_warnings(path)
    assert result.warnings == ()
    source = nib.load(path)
    assert_same_world(result.volume, source)
    assert result.volume.geometry.axis_codes == "".join(nib.aff2axcodes(source.affine))[::-1]

    without_source, like_source = tmp_path / "free.nii.gz", tmp_path / "like.nii.gz"
    write_volume(without_source, result.volume)
    write_volume(like_source, result.volume, like=result.grid)
    for target in (without_source, like_source):
        written = nib.load(target)
        assert_same_world(result.volume, written)
        np.testing.assert_array_equal(written.affine, source.affine)
    free = nib.load(without_source)
    np.testing.assert_allclose(free.get_qform(coded=True)[0], source.affine, atol=1e-4)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS[::5])
def test_oblique_grids_survive_every_format(tmp_path, order, signs):
    affine = turned(oriented_affine(order, signs), 13.0)
    path = save(tmp_path / "in.nii.gz", numbered(), affine)
    result = read_with_warnings(path)
    assert_same_world(result.volume, nib.load(path))
    itk_source = sitk.ReadImage(str(path))
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        target = tmp_path / f"out{suffix}"
        write_volume(target, result.volume, like=result.grid)
        written = sitk.ReadImage(str(target))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(written), result.volume.array)
        np.testing.assert_allclose(written.GetDirection(), itk_source.GetDirection(), atol=1e-6)
        np.testing.assert_allclose(written.GetOrigin(), itk_source.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(written.GetSpacing(), itk_source.GetSpacing(), atol=1e-6)
        assert read_volume(target).geometry.coincides(result.volume.geometry, tolerance_mm=1e-4)


def test_output_repeats_the_geometry_fields_of_the_input_to_the_last_bit(tmp_path):
    affine = turned(oriented_affine((2, 0, 1), (1, -1, -1)), 21.7)
    affine[:3] += 1e-5 * np.random.default_rng(1).random((3, 4))
    affine[3] = (0, 0, 0, 1)
    path = save(tmp_path / "in.nii", numbered(), affine)
    poke(path, 252, np.int16(3), np.int16(2), np.float32(0.123))
    result = read_with_warnings(path)
    assert "contradict" in result.warnings[0]
    labels = LabelMap(np.ones(result.volume.array.shape), result.volume.geometry, organ_table())
    write_label_map(tmp_path / "out.nii", labels, like=result.grid)
    source, written = nib.load(path).header, nib.load(tmp_path / "out.nii").header
    for name in FORMS:
        assert source[name].tobytes() == written[name].tobytes(), name
    assert source["pixdim"][:4].tobytes() == written["pixdim"][:4].tobytes()
    assert written["pixdim"].dtype == np.float32


def test_qform_alone_is_used_and_repeated(tmp_path):
    affine = turned(oriented_affine((1, 2, 0), (-1, 1, -1)), 30.0)
    image = nib.Nifti1Image(numbered(), affine)
    image.set_sform(None, 0)
    image.set_qform(affine, 1)
    path = tmp_path / "in.nii"
    nib.save(image, path)
    result = read_with_warnings(path)
    assert result.warnings == ()
    assert_same_world(result.volume, nib.load(path))
    write_volume(tmp_path / "out.nii", result.volume, like=result.grid)
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii").affine, nib.load(path).affine)


@pytest.mark.parametrize("qform_code", [0, 1, 2])
@pytest.mark.parametrize("sform_code", [0, 1, 2, 4])
def test_of_contradicting_forms_the_one_itk_takes_wins(tmp_path, qform_code, sform_code):
    affine = oriented_affine((0, 1, 2), (1, -1, 1))
    image = nib.Nifti1Image(numbered(), affine)
    image.set_sform(affine, sform_code)
    image.set_qform(turned(affine, 9.0), qform_code)
    nib.save(image, tmp_path / "in.nii")
    result = read_with_warnings(tmp_path / "in.nii")
    assert ("contradict" in "".join(result.warnings)) == (qform_code > 0 and sform_code > 0)
    itk = sitk.ReadImage(str(tmp_path / "in.nii"))
    for index in ((0, 0, 0), (3, 2, 4)):
        x, y, z = itk.TransformIndexToPhysicalPoint(index)
        found = result.volume.geometry.index_to_world(np.array(index[::-1]))
        np.testing.assert_allclose(found, (-x, -y, z), atol=1e-4)


def test_agreeing_forms_are_no_news(tmp_path):
    affine = turned(oriented_affine((0, 1, 2), (1, 1, 1)), 8.0)
    image = nib.Nifti1Image(numbered(), affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, tmp_path / "in.nii")
    assert read_with_warnings(tmp_path / "in.nii").warnings == ()


def test_files_without_forms_lie_where_itk_puts_them(tmp_path):
    affine = oriented_affine((0, 1, 2), (1, 1, 1))
    path = save(tmp_path / "in.nii", numbered(), affine)
    poke(path, *NO_FORMS)
    result = read_with_warnings(path)
    assert "Left and right may be swapped" in result.warnings[0]
    expected = np.diag([-1.25, -0.75, 7.7, 1.0])[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(result.volume.geometry.affine, expected, atol=1e-6)
    itk = sitk.ReadImage(str(path))
    assert itk.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert itk.GetOrigin() == (0, 0, 0)


def test_an_unusable_sform_gives_way_to_the_qform(tmp_path):
    affine = oriented_affine((0, 1, 2), (1, -1, 1))
    image = nib.Nifti1Image(numbered(), affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, tmp_path / "in.nii")
    poke(tmp_path / "in.nii", 280, np.float32(np.nan))
    result = read_with_warnings(tmp_path / "in.nii")
    assert "sform of the file is unusable" in result.warnings[0]
    np.testing.assert_allclose(result.volume.geometry.affine, affine[:, [2, 1, 0, 3]], atol=1e-5)


def test_slightly_skewed_axes_are_repaired_with_a_warning_and_written_back(tmp_path):
    affine = turned(oriented_affine((0, 1, 2), (-1, 1, 1)), 11.0)
    affine[:3, 1] += 0.01 * affine[:3, 0]
    path = save(tmp_path / "in.nii.gz", numbered(), affine)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))  # what the repair is for
    result = read_with_warnings(path)
    assert "right angle" in result.warnings[0]
    direction = np.asarray(result.volume.geometry.direction)
    np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-12)
    center = (np.array(SHAPE_IJK) - 1) / 2
    np.testing.assert_allclose(
        result.volume.geometry.index_to_world(center[::-1]),
        nib.affines.apply_affine(nib.load(path).affine, center),
        atol=1e-9,
    )
    write_volume(tmp_path / "out.nii.gz", result.volume, like=result.grid)
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").affine, nib.load(path).affine)


def test_real_shear_is_kept_and_reported(tmp_path):
    affine = oriented_affine((0, 1, 2), (1, 1, 1))
    affine[1, 2] = 2.0
    result = read_with_warnings(save(tmp_path / "in.nii", numbered(), affine))
    assert "sheared by 14" in result.warnings[0]
    np.testing.assert_allclose(
        result.volume.geometry.affine, affine.astype("f4")[:, [2, 1, 0, 3]], atol=1e-6
    )
    write_volume(tmp_path / "out.nii", result.volume)
    assert nib.load(tmp_path / "out.nii").header["qform_code"] == 0


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_every_scalar_type_and_byte_order(tmp_path, dtype, endian):
    header = nib.Nifti1Header(endianness=endian)
    image = nib.Nifti1Image(numbered(dtype=dtype), np.eye(4), header, dtype=np.dtype(dtype))
    nib.save(image, tmp_path / "in.nii.gz")
    volume = read_volume(tmp_path / "in.nii.gz")
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, numbered().T)


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "offset", "warned"),
    [
        (0.0, 5.0, 1.0, 0.0, False),
        (np.nan, np.nan, 1.0, 0.0, True),
        (2.5, -7.0, 2.5, -7.0, False),
        (-1e-3, 1e3, -1e-3, 1e3, False),
    ],
)
def test_intensity_scaling(tmp_path, slope, intercept, factor, offset, warned):
    path = save(tmp_path / "in.nii", numbered(), np.eye(4))
    poke(path, 112, np.float32(slope), np.float32(intercept))
    result = read_with_warnings(path)
    expected = numbered().T * np.float64(np.float32(factor)) + np.float64(np.float32(offset))
    np.testing.assert_array_equal(result.volume.array, expected.astype(np.float32))
    assert bool(result.warnings) == warned


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_frame_of_a_4d_file(tmp_path, suffix):
    data = numbered((*SHAPE_IJK, 3))
    path = tmp_path / f"in{suffix}"
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    assert frame_count(path) == 3
    for frame in range(3):
        result = read_with_warnings(path, frame=frame)
        np.testing.assert_array_equal(result.volume.array, data[..., frame].T)
        assert "3 frames" in result.warnings[-1]
    for wrong in (3, -1):
        with pytest.raises(InputError) as caught:
            read_volume(path, frame=wrong)
        assert caught.value.code == "input.frame"


def test_nifti_2_is_read_and_repeated_in_double_precision(tmp_path):
    affine = turned(oriented_affine((0, 1, 2), (1, 1, 1)), 5.0)
    image = nib.Nifti2Image(numbered(), affine)
    nib.save(image, tmp_path / "in.nii.gz")
    result = read_with_warnings(tmp_path / "in.nii.gz")
    write_volume(tmp_path / "out.nii.gz", result.volume, like=result.grid)
    written = nib.load(tmp_path / "out.nii.gz")
    assert isinstance(written, nib.Nifti2Image)
    assert_same_world(result.volume, written)
    np.testing.assert_array_equal(written.affine, affine)


def test_header_and_pixels_in_two_files(tmp_path):
    nib.save(nib.Nifti1Pair(numbered(), np.eye(4)), tmp_path / "in.hdr")
    np.testing.assert_array_equal(read_volume(tmp_path / "in.hdr").array, numbered().T)
    (tmp_path / "in.img").unlink()
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "in.hdr")
    assert caught.value.code == "input.missing"


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1000.0), ("micron", 0.001)])
def test_other_length_units_become_millimeters(tmp_path, unit, scale):
    affine = oriented_affine((0, 1, 2), (1, 1, 1))
    image = nib.Nifti1Image(numbered(), affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "in.nii")
    result = read_with_warnings(tmp_path / "in.nii")
    assert "unit" in result.warnings[0]
    np.testing.assert_allclose(
        result.volume.geometry.spacing_mm, np.multiply(SPACING[::-1], scale), rtol=1e-6
    )
    write_volume(tmp_path / "out.nii", result.volume, like=result.grid)
    assert nib.load(tmp_path / "out.nii").header.get_xyzt_units()[0] == unit


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    path = save(tmp_path / "in.nii", numbered(), np.eye(4))
    (tmp_path / "named.nii").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "plain.nii.gz").write_bytes(path.read_bytes())
    for name in ("named.nii", "plain.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, numbered().T)


def test_a_grid_without_length_is_refused_by_name(tmp_path):
    path = save(tmp_path / "flat.nii", numbered(), np.eye(4))
    poke(path, *NO_FORMS)
    poke(path, 80, np.float32(0))
    with pytest.raises(GeometryError, match=r"flat\.nii"):
        read_volume(path)


def test_equal_input_gives_equal_bytes(tmp_path, oblique_volume):
    write_volume(tmp_path / "a.nii.gz", oblique_volume)
    write_volume(tmp_path / "b.nii.gz", oblique_volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_one_voxel_one_slice_and_many_slices(tmp_path):
    for shape in ((1, 4, 4), (2000, 2, 2)):
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        write_volume(tmp_path / "x.nii.gz", Volume(array, Geometry(shape, (3.0, 1.0, 1.0))))
        result = read_with_warnings(tmp_path / "x.nii.gz")
        np.testing.assert_array_equal(result.volume.array, array)
        assert ("single slice" in "".join(result.warnings)) == (shape[0] == 1)


def test_the_grid_is_read_without_the_pixels(tmp_path):
    path = save(tmp_path / "in.nii", numbered(), np.eye(4))
    path.write_bytes(path.read_bytes()[:400])
    assert read_grid(path).geometry.shape == SHAPE_IJK[::-1]


def test_real_images_agree_with_nibabel(shared_data):
    path = shared_data / "mr_other" / "totalseg_example_mr.nii.gz"
    paths = [path] if path.is_file() else sorted((shared_data / "mr_other").glob("*.nii.gz"))[:1]
    for one in paths:
        volume, oracle = read_volume(one), nib.load(one)
        np.testing.assert_allclose(
            volume.array, np.asarray(oracle.dataobj, dtype=np.float32).T, rtol=1e-6
        )
        np.testing.assert_allclose(
            volume.geometry.affine[:, [2, 1, 0, 3]], oracle.affine, atol=1e-4
        )
