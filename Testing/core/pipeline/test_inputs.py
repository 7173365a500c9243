"""Which images are meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.errors import InputError
from FlareMRCore.pipeline.inputs import find_inputs
from FlareMRCore.pipeline.segment_case import case_name
from Testing.core.pipeline.fake_engine import block_volume


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/case.1.nii.gz", "case.1"),
        ("case.seg.nrrd", "case"),
        ("CASE.NII", "CASE"),
        ("series", "series"),
        (".nii.gz", ".nii.gz"),
        ("IM0001", "IM0001"),
    ],
)
def test_case_names(name: str, expected: str) -> None:
    assert case_name(Path(name)) == expected


def write_dicom(folder: Path) -> None:
    """Three slices of one series."""
    folder.mkdir(parents=True)
    for n in range(3):
        image = SimpleITK.GetImageFromArray(np.full((1, 4, 5), n + 1, dtype=np.int16))
        for tag, value in {
            "0008|0060": "MR", "0020|000d": "1.2.3", "0020|000e": "1.2.3.4",
            "0020|0032": f"0\\0\\{3 * n}", "0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(n),
            "0008|0018": f"1.2.3.4.{n}", "0028|0030": "1\\1",
        }.items():  # fmt: skip
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{n}.dcm"))
        writer.Execute(image)


def test_a_dicom_folder_is_one_image_and_a_folder_of_them_a_batch(tmp_path: Path) -> None:
    write_dicom(tmp_path / "all" / "one")
    write_dicom(tmp_path / "all" / "two")
    (tmp_path / "all" / "empty").mkdir()
    single = find_inputs([tmp_path / "all" / "one"])
    assert single.is_single
    assert single.cases[0].name == "one"
    batch = find_inputs([tmp_path / "all"])
    assert not batch.is_single
    assert [case.name for case in batch.cases] == ["one", "two"]


def test_a_folder_with_one_image_is_a_batch(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", block_volume())
    assert not find_inputs([tmp_path]).is_single
    assert find_inputs([tmp_path / "a.nii.gz"]).is_single


def test_an_image_named_twice_is_meant_once(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", block_volume())
    assert len(find_inputs([tmp_path / "a.nii.gz", tmp_path]).cases) == 1


def test_names_that_differ_in_case_only_stay_apart(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "A.nrrd"):
        write_volume(tmp_path / name, block_volume())
    names = [case.name.lower() for case in find_inputs([tmp_path]).cases]
    assert len(set(names)) == 2


def test_missing_and_empty(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError):
            find_inputs([path])
