"""Manifests of every layout: who is who, which labels, which part, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.dataset import Dataset, sha256_of
from FlareMRCore.data.dataset_build import (
    MANIFEST_NAME,
    BuildOptions,
    build_dataset,
    split_patients,
)
from FlareMRCore.data.dataset_layouts import detect_layout
from FlareMRCore.data.dataset_manifest import load_dataset, save_dataset
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_array, write_volume
from FlareMRCore.errors import DatasetError, UsageError

GRID = Geometry((3, 4, 5), (3.0, 2.0, 2.0))


def image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng([seed, len(path.name)]).normal(size=GRID.shape)
    write_volume(path, Volume(array.astype(np.float32), GRID))


def label(path: Path, *values: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array.reshape(-1)[: len(values)] = values
    write_array(path, LabelMap(array, GRID, organ_table()), None)


def rows(dataset: Dataset) -> dict[str, tuple[str, str, str, str, tuple[str, ...]]]:
    return {
        case.case_id: (
            case.patient_id, case.modality, case.domain, "+".join(case.images), case.annotated
        )
        for case in dataset.cases
    }  # fmt: skip


def round_trip(dataset: Dataset) -> Dataset:
    path = dataset.root / MANIFEST_NAME
    save_dataset(path, dataset)
    assert load_dataset(path) == dataset
    return dataset


def test_flare24_as_published(tmp_path):
    image(tmp_path / "CT/images/FLARE22_Tr_0001_0000.nii.gz")
    label(tmp_path / "CT/labels/FLARE22_Tr_0001.nii.gz", 1, 3)
    image(tmp_path / "CT/images/FLARE23_0095_0000.nii.gz")
    label(tmp_path / "CT/labels/FLARE23_0095.nii.gz", 1)
    image(tmp_path / "MRI/LLD/MR-391135_1_C--A_0000.nii.gz")
    image(tmp_path / "MRI/LLD/MR-391135_1_In Phase_0000.nii.gz")
    image(tmp_path / "MRI/AMOS/amos_0507_0000.nii.gz")
    image(tmp_path / "val/imagesVal/amos_0600_0000.nii.gz")
    label(tmp_path / "val/labelsVal/amos_0600.nii.gz", 13)
    assert detect_layout(tmp_path) == "flare24"
    dataset = round_trip(build_dataset(tmp_path))
    assert rows(dataset) == {
        "FLARE22_Tr_0001": ("FLARE22_Tr_0001", "CT", "source", "CT", ("liver", "spleen")),
        "FLARE23_0095": ("FLARE23_0095", "CT", "source", "CT", ("liver",)),
        "MR-391135_1_A": ("MR-391135_1", "MR", "target", "A", ()),
        "MR-391135_1_IP": ("MR-391135_1", "MR", "target", "IP", ()),
        "amos_0507": ("amos_0507", "MR", "target", "MR", ()),
        "amos_0600": ("amos_0600", "MR", "target", "MR", ("left_kidney",)),
    }
    sources = {case.case_id: case.label_source for case in dataset.cases}
    assert sources["FLARE22_Tr_0001"] == "manual"
    assert sources["FLARE23_0095"] == "predicted"
    assert [case.case_id for case in dataset.part("default", "validate")] == ["amos_0600"]
    file = dataset.case("amos_0507").images["MR"]
    assert file.sha256 == sha256_of(tmp_path / file.path)


def test_flare24_as_the_code_arranges_it(tmp_path):
    image(tmp_path / "CT/CT_image/a_0000.nii.gz")
    label(tmp_path / "CT/CT_label/a.nii.gz", 1)
    image(tmp_path / "CT/CT2MR_image/a_0000.nii.gz", 1)
    label(tmp_path / "CT/CT2MR_label/a.nii.gz", 1)
    image(tmp_path / "MR/Training/LLD-MMRI-3984/MR745_6_C+Delay_0000.nii.gz")
    image(tmp_path / "MR/Training/AMOS_MR_good_spacing-833/amos_1_0000.nii.gz")
    image(tmp_path / "MR/PublicValidation/imagesVal/amos_2_0000.nii.gz")
    dataset = round_trip(build_dataset(tmp_path))
    found = rows(dataset)
    assert found["ct2mr_a"] == ("a", "MR", "source", "MR", ("liver",))
    assert found["a"][:2] == ("a", "CT")
    assert found["MR745_6_DELAY"][0] == "MR745_6"
    assert set(dataset.splits["default"]) == {"train", "validate"}


def test_flare23_with_partial_labels_and_tumors(tmp_path):
    for name, values in {"full": range(1, 14), "tumor": (14,), "nothing": ()}.items():
        image(tmp_path / f"imagesTr2200/{name}_0000.nii.gz")
        label(tmp_path / f"labelsTr2200/{name}.nii.gz", *values)
    image(tmp_path / "unlabelTr1800/u_0000.nii.gz")
    assert detect_layout(tmp_path) == "flare23"
    found = rows(round_trip(build_dataset(tmp_path)))
    assert len(found["full"][4]) == 13
    assert found["tumor"][4] == ("tumor",)
    assert found["nothing"][4] == ()
    assert found["u"] == ("u", "CT", "source", "CT", ())


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    for case in ("p1", "p2"):
        for channel in (0, 1):
            image(tmp_path / f"imagesTr/{case}_{channel:04d}.nii.gz", channel)
        label(tmp_path / f"labelsTr/{case}.nii.gz", 1)
    image(tmp_path / "imagesTs/p3_0000.nii.gz")
    content = {
        "channel_names": {"0": "In Phase", "1": "T2WI"},
        "labels": {"background": 0, "liver": 1},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_nnunet_with_two_channels(nnunet):
    assert detect_layout(nnunet) == "nnunet"
    dataset = round_trip(build_dataset(nnunet))
    assert rows(dataset)["p1"] == ("p1", "MR", "source", "IP+T2", ("liver",))
    assert dataset.splits["default"] == {"train": ("p1", "p2"), "test": ("p3",)}


def test_foreign_label_numbers_are_refused(nnunet):
    content = {"channel_names": {"0": "CT"}, "labels": {"spleen": 1, "Left Kidney": 3, "liver": 1}}
    (nnunet / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DatasetError, match="spleen is 1, not 3; Left Kidney is 3, not 13"):
        build_dataset(nnunet)


def test_lld_alone(tmp_path):
    for sequence in ("C-pre", "C+V", "DWI"):
        image(tmp_path / f"images/MR7_-1_{sequence}.nii.gz")
    label(tmp_path / "labels/MR7_-1_DWI.nii.gz", 1)
    assert detect_layout(tmp_path) == "lld"
    found = rows(round_trip(build_dataset(tmp_path)))
    assert set(found) == {"MR7_-1_PRE", "MR7_-1_V", "MR7_-1_DWI"}
    assert {row[0] for row in found.values()} == {"MR7_-1"}
    assert found["MR7_-1_DWI"][4] == ("liver",)


def test_a_plain_folder(tmp_path):
    image(tmp_path / "anna_ct.nii.gz")
    label(tmp_path / "anna_label.nii.gz", 1)
    image(tmp_path / "ben.nii.gz")
    image(tmp_path / "more/cleo_mr.nrrd")
    label(tmp_path / "labels/cleo.nii.gz", 3)
    found = rows(round_trip(build_dataset(tmp_path, BuildOptions(modality="MR"))))
    assert found == {
        "anna": ("anna", "CT", "source", "CT", ("liver",)),
        "ben": ("ben", "MR", "target", "MR", ()),
        "cleo": ("cleo", "MR", "source", "MR", ("spleen",)),
    }
    image(tmp_path / "ben_mr.nii.gz")
    with pytest.raises(DatasetError, match="would both be case 'ben'"):
        build_dataset(tmp_path)


def test_labels_with_longer_and_shorter_names(tmp_path):
    image(tmp_path / "dora_t2spir.nii.gz")
    label(tmp_path / "dora_label4organ.nii.gz", 1, 14)
    (case,) = build_dataset(tmp_path).cases
    # 14 is a tumor in FLARE23 only; elsewhere it may be the portal vein.
    assert (case.case_id, case.annotated) == ("dora_t2spir", ("liver",))
    image(tmp_path / "dora_dwi.nii.gz")
    with pytest.raises(DatasetError, match=r"No single image belongs .*dora_label4organ"):
        build_dataset(tmp_path)


def write_csv(folder: Path, *lines: str) -> Path:
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_file(tmp_path):
    for name in ("a1", "a2", "b"):
        image(tmp_path / f"{name}.nii.gz")
    label(tmp_path / "a_l.nii.gz", 1)
    path = write_csv(
        tmp_path,
        "case,patient,modality,image,sequence,label,annotated,domain,part",
        "a,p,MR,a1.nii.gz,C+A,a_l.nii.gz,liver;spleen,source,train",
        "a,p,MR,a2.nii.gz,T2WI,,,source,train",
        "b,q,CT,b.nii.gz,,,,target,test",
    )
    dataset = round_trip(build_dataset(path))
    assert rows(dataset) == {
        "a": ("p", "MR", "source", "A+T2", ("liver", "spleen")),
        "b": ("q", "CT", "target", "CT", ()),
    }
    assert dataset.splits["default"] == {"train": ("p",), "test": ("q",)}


def test_all_mistakes_of_a_csv_file_at_once(tmp_path):
    image(tmp_path / "a.nii.gz")
    path = write_csv(
        tmp_path,
        "case,patient,modality,image",
        "a,p,US,a.nii.gz",
        "a,q,MR,missing.nii.gz",
        "c,,MR,a.nii.gz",
    )
    with pytest.raises(DatasetError) as caught:
        build_dataset(path)
    for expected in ("line 2: modality 'US'", "no file 'missing.nii.gz'", "line 4: 'patient' is",
                     "belongs to two patients", "as in line 2"):  # fmt: skip
        assert expected in str(caught.value)
    with pytest.raises(DatasetError, match="needs the columns"):
        build_dataset(write_csv(tmp_path, "name,file", "a,a.nii.gz"))


def test_annotated_organs_can_be_told(tmp_path):
    image(tmp_path / "a.nii.gz")
    label(tmp_path / "a_label.nii.gz", 1)
    options = BuildOptions(annotated=("liver", "duodenum"), checksums=False)
    (case,) = build_dataset(tmp_path, options).cases
    assert case.annotated == ("liver", "duodenum")
    assert case.images["MR"].sha256 is None


def test_nothing_to_build(tmp_path):
    with pytest.raises(DatasetError, match="no image"):
        build_dataset(tmp_path)
    with pytest.raises(DatasetError, match="no folder or file"):
        build_dataset(tmp_path / "missing")
    with pytest.raises(UsageError, match="no layout 'bids'"):
        build_dataset(tmp_path, BuildOptions(layout="bids"))


def test_splits_are_by_patient_and_repeatable():
    people = [f"p{n}" for n in range(10)]
    shares = {"train": 0.7, "validate": 0.2, "test": 0.1}
    split = split_patients(people * 3, shares, seed=4)
    assert [len(part) for part in split.values()] == [7, 2, 1]
    assert sorted(name for part in split.values() for name in part) == people
    assert split == split_patients(people[::-1], shares, seed=4)
    assert split != split_patients(people, shares, seed=5)
    with pytest.raises(UsageError, match="positive"):
        split_patients(people, {"train": 1.0, "test": 0.0})
