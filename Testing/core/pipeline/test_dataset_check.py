"""The report finds each planted mistake, and nothing in a good data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.dataset import Case, Dataset, StoredFile, sha256_of
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import write_array, write_volume
from FlareMRCore.imaging.z_flip import flip_label_slices
from FlareMRCore.pipeline.dataset_check import (
    DatasetReport,
    check_dataset,
    report_lines,
    summarize_dataset,
)
from FlareMRCore.pipeline.dataset_report import write_contact_sheet
from FlareMRCore.progress import SilentReporter

ORGANS = tuple(label.id for label in organ_table())
LIVER, SPLEEN = (organ_table().by_id(name).value for name in ("liver", "spleen"))


@pytest.fixture(scope="module")
def people() -> list[tuple[Volume, LabelMap]]:
    grid = phantom_geometry(8.0)
    return [make_phantom(seed, "venous", geometry=grid) for seed in (1, 2)]


@pytest.fixture
def dataset(tmp_path: Path, people) -> Dataset:
    cases = []
    for n, (volume, labels) in enumerate(people):
        write_volume(tmp_path / f"{n}.nii", volume)
        write_array(tmp_path / f"{n}_l.nii", labels, None)
        occurring = tuple(o.id for o in organ_table() if (labels.array == o.value).any())
        cases.append(
            Case(f"c{n}", f"p{n}", "source", "MR", {"V": stored(tmp_path, f"{n}.nii")},
                 stored(tmp_path, f"{n}_l.nii"), "phantom", occurring)
        )  # fmt: skip
    return Dataset(
        tmp_path, "two people", "CC0-1.0", tuple(cases),
        {"default": {"train": ("p0",), "validate": ("p1",)}},
    )  # fmt: skip


def stored(folder: Path, name: str) -> StoredFile:
    return StoredFile(name, sha256_of(folder / name))


def check(dataset: Dataset, **options) -> DatasetReport:
    return check_dataset(dataset, SilentReporter(), **options)


def codes(report: DatasetReport, level: str = "error") -> list[str]:
    return [finding.code for finding in report.findings if finding.level == level]


def put_labels(dataset: Dataset, array: np.ndarray, geometry: Geometry) -> None:
    write_array(dataset.root / "0_l.nii", LabelMap(array, geometry, organ_table()), None)


def test_a_good_data_set(dataset):
    report = check(dataset)
    assert report.findings == []
    assert report.spacings_mm["slices"] == {"8.0": 2}
    assert report.organs["liver"] == {"occurs": 2, "annotated": 2}
    assert report_lines(report)[0] == "two people: 2 cases, 0 errors, 0 warnings"


def test_sides(dataset, people):
    labels = people[0][1]
    put_labels(dataset, labels.array[:, :, ::-1], labels.geometry)
    assert "side" in codes(check(dataset))


def test_upside_down(dataset, people):
    put_labels(dataset, flip_label_slices(people[0][1]).array, people[0][1].geometry)
    assert "upside-down" in codes(check(dataset))


def test_another_label_convention(dataset, people):
    array = people[0][1].array
    swapped = np.choose((array == LIVER) + 2 * (array == SPLEEN), (array, SPLEEN, LIVER))
    put_labels(dataset, swapped.astype(np.uint8), people[0][1].geometry)
    found = check(dataset)
    assert "largest" in codes(found)
    assert any("spleen is larger than liver" in finding.text for finding in found.findings)


def test_unknown_values_and_unannotated_organs(dataset, people):
    array = people[0][1].array.copy()
    array[0, 0, 0] = 77
    put_labels(dataset, array, people[0][1].geometry)
    partial = replace(dataset.cases[0], annotated=("liver",))
    report = check(replace(dataset, cases=(partial, dataset.cases[1])))
    assert codes(report) == ["labels"]
    assert codes(report, "warning").count("annotated") >= 8


def test_tumors_are_known_where_they_are_annotated(dataset, people):
    array = people[0][1].array.copy()
    array[0, 0, 0] = 14
    put_labels(dataset, array, people[0][1].geometry)
    assert codes(check(dataset)) == ["labels"]
    first = replace(dataset.cases[0], annotated=(*dataset.cases[0].annotated, "tumor"))
    assert check(replace(dataset, cases=(first, dataset.cases[1]))).findings == []


def test_annotated_and_absent(dataset, people):
    array = np.where(people[0][1].array == SPLEEN, np.uint8(0), people[0][1].array)
    put_labels(dataset, array, people[0][1].geometry)
    assert codes(check(dataset), "warning") == ["absent"]


def test_grids_must_agree(dataset, people):
    labels = people[0][1]
    put_labels(dataset, labels.array, replace(labels.geometry, origin=(0.0, 0.0, 3.0)))
    assert codes(check(dataset)) == ["grid"]


def test_unreadable_and_constant_images_are_all_reported(dataset, people):
    (dataset.root / "0.nii").write_bytes(b"no image")
    (dataset.root / "1_l.nii").unlink()
    report = check(dataset)
    assert len(codes(report)) == 2
    assert {finding.case for finding in report.findings} == {"c0", "c1"}


def test_duplicates_leak_across_parts(dataset):
    (dataset.root / "1.nii").write_bytes((dataset.root / "0.nii").read_bytes())
    twin = replace(dataset.cases[1], images={"V": stored(dataset.root, "1.nii")})
    report = check(replace(dataset, cases=(dataset.cases[0], twin)))
    assert "duplicate" in codes(report)
    together = {"default": {"train": ("p0", "p1")}}
    report = check(replace(dataset, cases=(dataset.cases[0], twin), splits=together))
    assert "duplicate" in codes(report, "warning")
    assert "duplicate" not in codes(report)


def test_one_person_under_two_ids(dataset):
    ids = ("MR-7_1", "mr-7_-1")
    cases = [replace(c, patient_id=p) for c, p in zip(dataset.cases, ids, strict=True)]
    splits = {"default": {"train": ("MR-7_1",), "validate": ("mr-7_-1",)}}
    assert "leak" in codes(check(replace(dataset, cases=tuple(cases), splits=splits)))
    both = {"default": {"train": ("p0", "p1"), "validate": ("p1",)}}
    assert "leak" in codes(check(replace(dataset, splits=both)))


def test_held_out_cases_must_not_be_trained_on(dataset):
    assert codes(check(dataset, held_out=("c0",))) == ["contamination"]
    assert codes(check(dataset, held_out=("p1",))) == []


def test_summary_counts(dataset):
    summary = summarize_dataset(dataset)
    assert (summary["cases"], summary["patients"]) == (2, 2)
    assert summary["sequences"] == {"V": 2}
    assert summary["splits"] == {"default": {"train": 1, "validate": 1}}


def test_the_sheet_shows_images_and_failures(dataset):
    image_module = pytest.importorskip("PIL.Image", reason="needs the package pillow")
    (dataset.root / "1.nii").write_bytes(b"no image")
    path = dataset.root / "sheet.png"
    assert write_contact_sheet(path, dataset, SilentReporter()) == 2
    with image_module.open(path) as picture:
        pixels = np.asarray(picture)
    left, right = np.split(pixels[:, : pixels.shape[1] // 2 * 2], 2, axis=1)
    assert left[:190].std() > 20
    assert right[20:190].std() < 3
