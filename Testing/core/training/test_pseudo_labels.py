"""Pseudo-labels of several weights: what they agree on is taught, the rest is left open."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np

from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume import Volume
from FlareMRCore.data.volume_io import write_volume
from FlareMRCore.progress import SilentReporter
from FlareMRCore.training.pack import CLASSES, load_pack
from FlareMRCore.training.pack_sources import PackGroup, build_pack, load_groups

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from pseudo_labels import UNANNOTATED, UNKNOWN, agreement, completed, group_text

GROUP = PackGroup("people", "mr", image="*.nii.gz", weight=2.0)


def test_voxels_without_agreement_are_unknown() -> None:
    maps = [np.array([0, 1, 2, 3], np.uint8), np.array([0, 1, 3, 0], np.uint8)]
    assert agreement(maps).tolist() == [0, 1, UNKNOWN, UNKNOWN]
    assert agreement(maps[:1]).tolist() == [0, 1, 2, 3]


def test_the_written_group_teaches_nothing_where_labels_are_unknown(tmp_path: Path) -> None:
    volume, label_map = make_phantom(3, "t2_fs", geometry=phantom_geometry((8.0, 8.0, 8.0)))
    labels = label_map.array.astype(np.float32).copy()
    labels[: len(labels) // 2] = UNKNOWN
    write_volume(tmp_path / "people-a_mr.nii.gz", volume)
    write_volume(tmp_path / "people-a_pseudo.nii.gz", Volume(labels, label_map.geometry))
    (tmp_path / "groups.toml").write_text(group_text(GROUP), encoding="utf-8")
    groups = load_groups(tmp_path / "groups.toml")
    build_pack(groups, tmp_path, tmp_path / "pack", spacing_mm=8.0, reporter=SilentReporter())
    (case,) = load_pack(tmp_path / "pack")
    assert tomllib.loads(group_text(GROUP))["group"][0]["weight"] == case.weight == 2.0
    assert case.allowed[UNKNOWN].all()
    assert UNKNOWN in case.labels
    assert case.allowed[:CLASSES].sum() == CLASSES
    assert case.allowed[UNANNOTATED, 0]


def test_annotated_organs_keep_their_labels() -> None:
    """Liver (1) is annotated, pancreas (4) is not; 33 is a voxel without agreement."""
    truth = np.array([1, 1, 0, 0, 0, 0, 22], np.uint8)
    pseudo = np.array([1, 4, 1, 4, 0, UNKNOWN, 4], np.uint8)
    found = completed(truth, pseudo, unannotated=(4,)).tolist()
    assert found == [1, 1, UNANNOTATED, 4, 0, UNANNOTATED, 4]


def test_what_lacks_agreement_may_be_anything_but_an_annotated_organ() -> None:
    group = PackGroup("people", "mr", image="*.nii.gz", unannotated=("pancreas",))
    merged = tomllib.loads(group_text(group))["group"][0]["merged"]
    assert merged[str(UNANNOTATED)] == ["background", "pancreas"]
    assert "liver" in merged[str(UNKNOWN)]
