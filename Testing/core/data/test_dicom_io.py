"""DICOM series made here with GDCM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareMRCore.data.dicom_io import list_series
from FlareMRCore.data.volume_io import frame_count, read_volume, read_with_warnings, write_volume
from FlareMRCore.errors import InputError

SHAPE = (5, 4, 3)
RAMP = np.arange(60, dtype=np.int16).reshape(SHAPE)
SPACING = (1.5, 1.25)  # rows, columns
AXIAL = np.eye(3)
CORONAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
OBLIQUE = np.linalg.qr(np.array([[0.9, 0.1, -0.2], [0.1, 0.8, 0.4], [0.3, -0.2, 1.0]]))[0]


def write_series(
    folder: Path,
    *,
    uid: str = "1.2.3.1",
    axes: np.ndarray = AXIAL,
    depths_mm: Sequence[float] = (0.0, 5.0, 10.0, 15.0, 20.0),
    array: np.ndarray = RAMP,
    tags: dict[str, str] | None = None,
) -> Path:
    """Files in an order that is not that of the slices; `axes` holds i, j, normal in LPS."""
    folder.mkdir(exist_ok=True, parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, (depth_mm, pixels) in enumerate(zip(depths_mm, array, strict=True)):
        image = sitk.GetImageFromArray(pixels[np.newaxis])
        image.SetSpacing((SPACING[1], SPACING[0], 5.0))
        image.SetDirection(axes.T.ravel().tolist())
        position = np.array([-20.0, 30.0, -40.0]) + depth_mm * axes[2]
        image.SetOrigin(position.tolist())
        values = {
            "0008|0060": "MR",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{uid}.{number + 1}.{(tags or {}).get('0018|0081', '1')}",
            "0008|103e": f"series {uid[-1]}",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{v:.6f}" for v in position),
            "0020|0037": "\\".join(f"{v:.12g}" for v in axes[:2].ravel()),
            **(tags or {}),
        }
        for key, value in values.items():
            image.SetMetaData(key, value)
        echo = values.get("0018|0081", "")
        writer.SetFileName(str(folder / f"{(7 * number) % 11:03d}-{uid[-1]}{echo}.dcm"))
        writer.Execute(image)
    return folder


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, OBLIQUE * np.linalg.det(OBLIQUE)])
def test_slices_are_ordered_by_position_and_lie_where_their_headers_say(tmp_path, axes):
    folder = write_series(tmp_path / "Serie ä 1", axes=axes)
    result = read_with_warnings(folder)
    assert result.warnings == ()
    np.testing.assert_array_equal(result.volume.array, RAMP)
    geometry = result.volume.geometry
    np.testing.assert_allclose(geometry.spacing_mm, (5.0, *SPACING), atol=1e-5)
    lps = np.array([-20.0, 30.0, -40.0]) + 2 * SPACING[1] * axes[0] + 3 * SPACING[0] * axes[1]
    lps = lps + 4 * 5.0 * axes[2]
    np.testing.assert_allclose(
        geometry.index_to_world(np.array([4, 3, 2])), lps * (-1, -1, 1), atol=1e-4
    )
    write_volume(tmp_path / "out.nii.gz", result.volume, like=result.grid)
    assert read_volume(tmp_path / "out.nii.gz").geometry.coincides(geometry)


def test_a_file_stands_for_its_series(tmp_path):
    folder = write_series(tmp_path)
    write_series(tmp_path, uid="1.2.3.2", array=RAMP + 100)
    volume = read_volume(folder / "000-2.dcm")
    np.testing.assert_array_equal(volume.array, RAMP + 100)


def test_a_folder_without_series_is_silent(tmp_path, capfd):
    assert list_series(tmp_path) == ()
    assert capfd.readouterr().err == ""
    assert sitk.ProcessObject.GetGlobalWarningDisplay()


def test_several_series_are_listed_and_chosen(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path, uid="1.2.3.2", array=RAMP + 100)
    assert [s.uid for s in list_series(tmp_path)] == ["1.2.3.1", "1.2.3.2"]
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "input.several-series"
    for part in ("1.2.3.1", "1.2.3.2", "series 1", "series 2", "5 files"):
        assert part in str(caught.value)
    for choice in ("2", "1.2.3.2", "Series 2"):
        np.testing.assert_array_equal(read_volume(tmp_path, series=choice).array, RAMP + 100)
    for wrong in ("3", "series", "t2"):
        with pytest.raises(InputError) as caught:
            read_volume(tmp_path, series=wrong)
        assert caught.value.code == "input.no-such-series"


def test_uneven_slice_distances_are_reported(tmp_path):
    write_series(tmp_path, depths_mm=(0.0, 5.0, 10.0, 20.0, 25.0))
    result = read_with_warnings(tmp_path)
    assert "not uniform" in result.warnings[0]
    assert "slices that seem to be missing: 1" in result.warnings[0]
    np.testing.assert_allclose(result.volume.geometry.spacing_mm[0], 6.25, atol=1e-5)


def test_echoes_at_the_same_positions_are_frames(tmp_path):
    write_series(tmp_path, tags={"0018|0081": "4.6"}, array=RAMP + 100)
    write_series(tmp_path, tags={"0018|0081": "2.3"})
    assert frame_count(tmp_path) == 2
    np.testing.assert_array_equal(read_volume(tmp_path, frame=0).array, RAMP)
    np.testing.assert_array_equal(read_volume(tmp_path, frame=1).array, RAMP + 100)


def test_a_missing_slice_of_an_echo_is_an_error(tmp_path):
    write_series(tmp_path, tags={"0018|0081": "2.3"})
    write_series(tmp_path, tags={"0018|0081": "4.6"}, depths_mm=(0.0, 5.0), array=RAMP[:2])
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "input.dicom-incomplete"


def test_views_in_several_directions_are_an_error(tmp_path):
    write_series(tmp_path, depths_mm=(0.0, 5.0), array=RAMP[:2])
    write_series(tmp_path, axes=CORONAL, depths_mm=(3.0,), array=RAMP[2:3], tags={"0018|0081": "1"})
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "input.dicom-mixed"
    assert "direction" in str(caught.value)


def test_a_single_slice_says_so(tmp_path):
    write_series(tmp_path, depths_mm=(0.0,), array=RAMP[:1])
    result = read_with_warnings(tmp_path)
    assert result.volume.array.shape == (1, 4, 3)
    assert "single slice" in " ".join(result.warnings)


def test_rescaled_slices_keep_their_fractions(tmp_path):
    values = RAMP / 2 - 3
    scaling = {"0028|1053": "0.5", "0028|1052": "-3"}
    stored = {"0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1"}
    write_series(tmp_path, tags=scaling | stored, array=values)
    np.testing.assert_allclose(read_volume(tmp_path).array, values, atol=1e-6)


def test_a_damaged_file_is_named_where_gdcm_passes_over_it(tmp_path):
    write_series(tmp_path)
    victim = tmp_path / "000-1.dcm"
    victim.write_bytes(victim.read_bytes()[:-20])
    result = read_with_warnings(tmp_path)
    assert result.volume.array.shape[0] == len(RAMP) - 1
    assert "000-1.dcm" in result.warnings[0]


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    write_series(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing here")
    (tmp_path / "more").mkdir()
    assert read_with_warnings(tmp_path).warnings == ()


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert caught.value.code == "input.no-dicom"
