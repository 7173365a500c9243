"""Labeled cases as a data set of nnU-Net, read back by the importer of such data sets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.dataset import sha256_of
from FlareMRCore.data.dataset_build import build_dataset
from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.label_io import read_label_map, write_label_map
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap, Volume
from FlareMRCore.data.volume_io import read_volume, write_volume
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.pipeline.recipe_cases import DataFile, RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_nnunet import NnunetParameters
from FlareMRCore.progress import SilentReporter

GRID = Geometry((3, 4, 260), (3.0, 2.0, 1.0), (5.0, -6.0, 7.0))
ORGANS = tuple(label.id for label in organ_table())


def _case(folder: Path, name: str, *, highest: int = 13) -> RecipeCase:
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[0, 0, : highest + 1] = np.arange(highest + 1)
    image, labels = folder / f"{name}.nii.gz", folder / f"{name}-labels.nii.gz"
    write_volume(image, Volume(array.astype(np.float32) * 2 + 1, GRID))
    known = set(np.unique(array[(array < 15) | (array == 255)]))
    array[~np.isin(array, list(known))] = 0
    write_label_map(labels, LabelMap(array, GRID, structure_table()))
    return RecipeCase(
        name,
        name,
        "target",
        "MR",
        {"t2": DataFile(image, sha256_of(image))},
        DataFile(labels, sha256_of(labels)),
        "predicted",
        ORGANS,
    )


def _export(folder: Path, *cases: RecipeCase, tumors: bool = False) -> Path:
    out = folder / "out"
    out.mkdir()
    context = StageContext(out, folder / "work", SilentReporter())
    STAGES["export-nnunet"].run(
        StageInputs({"cases": cases}), NnunetParameters(tumors=tumors), context
    )
    return out / "Dataset501_FlareMR"


def test_the_data_set_is_read_back_as_one(tmp_path: Path) -> None:
    case = _case(tmp_path, "amos 0507")
    unlabeled = replace(_case(tmp_path, "b"), label_map=None, label_source=None)
    folder = _export(tmp_path, case, unlabeled)
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {
        "background": 0,
        **{label.id: label.value for label in organ_table()},
    }
    assert (content["numTraining"], content["file_ending"]) == (1, ".nii.gz")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.gz")) == [
        "imagesTr/amos_0507_0000.nii.gz",
        "labelsTr/amos_0507.nii.gz",
    ]
    (found,) = build_dataset(folder).cases
    assert found.annotated == ORGANS
    labels = read_label_map(folder / "labelsTr/amos_0507.nii.gz")
    image = read_volume(folder / "imagesTr/amos_0507_0000.nii.gz")
    assert image.geometry.coincides(labels.geometry, tolerance_mm=1e-3)
    assert labels.array[0, 0, :14].tolist() == list(range(14))


def test_tumors_and_ignored_voxels_come_last_without_a_gap(tmp_path: Path) -> None:
    case = _case(tmp_path, "a", highest=255)
    ignored = _export(tmp_path, case)
    assert json.loads((ignored / "dataset.json").read_text())["labels"]["ignore"] == 14
    labels = read_label_map(ignored / "labelsTr/a.nii.gz")
    assert labels.array[0, 0, [13, 14, 15, 255]].tolist() == [13, 14, 0, 14]
    (tmp_path / "two").mkdir()
    both = _export(tmp_path / "two", replace(case, annotated=(*ORGANS, "tumor")), tumors=True)
    content = json.loads((both / "dataset.json").read_text())["labels"]
    assert (content["tumor"], content["ignore"]) == (14, 15)
    labels = read_label_map(both / "labelsTr/a.nii.gz")
    assert labels.array[0, 0, [13, 14, 15, 255]].tolist() == [13, 14, 0, 15]
    (tmp_path / "three").mkdir()
    with pytest.raises(DatasetError, match="everything annotated"):
        _export(tmp_path / "three", case, tumors=True)


def test_partial_true_and_missing_labels_are_refused(tmp_path: Path) -> None:
    case = _case(tmp_path, "a")
    mistakes = {
        "recipe.partial": (replace(case, annotated=("liver",)),),
        "recipe.target-labels": (replace(case, label_source="manual"),),
        "recipe.no-cases": (replace(case, label_map=None),),
        "recipe.names": (case, case),
    }
    for code, cases in mistakes.items():
        folder = tmp_path / code
        folder.mkdir()
        with pytest.raises(DatasetError) as caught:
            _export(folder, *cases)
        assert caught.value.code == code
    with pytest.raises(UsageError):
        NnunetParameters(number=0)
