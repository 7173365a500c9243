"""What the labels of a case teach each branch, by what was looked for in it."""

from __future__ import annotations

import numpy as np

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.training.pool_targets import Target, known_classes, target_labels

ORGANS = organ_table().values
GEOMETRY = Geometry((1, 1, 6), (10.0, 10.0, 10.0), (0.0, 0.0, 0.0))
VALUES = [0, 1, 13, 14, 255, 20]


def _labels() -> LabelMap:
    return LabelMap(np.array([[VALUES]], dtype=np.uint8), GEOMETRY, structure_table())


def test_organs_ignore_tumors_or_take_them_for_background() -> None:
    ignored = target_labels(_labels(), ORGANS, Target())
    assert ignored[0, 0, 0].tolist() == [0, 1, 13, 255, 255, 0]
    target = Target(tumor_in_organs="background")
    assert target_labels(_labels(), ORGANS, target)[0, 0, 0].tolist() == [0, 1, 13, 0, 255, 0]


def test_tumors_teach_only_where_somebody_looked_for_them() -> None:
    looked = target_labels(_labels(), (14,), Target("tumor"))
    assert looked[0, 0, 0].tolist() == [0, 0, 0, 1, 255, 0]
    not_looked = target_labels(_labels(), ORGANS, Target("tumor"))
    assert (not_looked == 255).all()


def test_two_branches_are_stacked() -> None:
    found = target_labels(_labels(), (*ORGANS, 14), Target("organs-and-tumor"))
    assert found.shape == (2, 1, 1, 6)
    assert found[:, 0, 0].tolist() == [[0, 1, 13, 255, 255, 0], [0, 0, 0, 1, 255, 0]]


def test_known_classes_are_those_annotated_and_every_background() -> None:
    known = known_classes((1, 13), Target("organs-and-tumor"))
    assert np.flatnonzero(known).tolist() == [0, 1, 13, 14, 15]
    assert known_classes((1,), Target("tumor")).tolist() == [True, True]
    assert Target("foreground").classes == (2,)


def test_foreground_has_no_holes_and_no_specks() -> None:
    array = np.zeros((7, 7, 9), dtype=np.uint8)
    array[1:6, 1:6, 1:6] = 3
    array[3, 3, 3] = 0
    array[3, 3, 8] = 5
    geometry = Geometry(array.shape, (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    labels = LabelMap(array, geometry, structure_table())
    found = target_labels(labels, ORGANS, Target("foreground"))[0]
    assert found[3, 3, 3] == 1
    assert found[3, 3, 8] == 0, "64 mm3 are less than 100"
    assert found.sum() == 125
    partial = target_labels(labels, (3,), Target("foreground"))[0]
    assert set(np.unique(partial)) == {1, 255}, "other organs may hide in its background"
