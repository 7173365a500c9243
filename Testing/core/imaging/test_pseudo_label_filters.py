"""Volume-ratio filter: limits, every policy for missing organs, and the reference means."""

from __future__ import annotations

import numpy as np
import pytest

from FlareMRCore.data.geometry import Geometry
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.errors import UsageError
from FlareMRCore.imaging.pseudo_label_filters import (
    Objection,
    Verdict,
    VolumeRatioRule,
    check_volumes,
    mean_volumes_mm3,
    organ_volumes_mm3,
)

ORGANS = organ_table().subset(("liver", "spleen"))
LIVER, SPLEEN = ORGANS.values
MEANS = {"liver": 100.0, "spleen": 20.0}


def label_map(liver: int = 50, spleen: int = 10, *, at_edge: bool = False) -> LabelMap:
    """`liver` and `spleen` voxels of 2 mm3 each, away from the faces unless `at_edge`."""
    array = np.zeros((12, 12, 22), dtype=np.uint8)
    inner = array[1:-1, 1:-1, 1:-1].reshape(-1).copy()
    inner[:liver] = LIVER
    inner[500 : 500 + spleen] = SPLEEN
    array[1:-1, 1:-1, 1:-1] = inner.reshape(10, 10, 20)
    if at_edge:
        array[0, 5, 5] = LIVER
    return LabelMap(array, Geometry(array.shape, (2.0, 1.0, 1.0)), ORGANS)


def rules(verdict: Verdict) -> list[str]:
    return [f"{objection.rule}/{objection.organ}" for objection in verdict.objections]


def test_volumes_are_in_mm3():
    assert organ_volumes_mm3(label_map()) == {"liver": 100.0, "spleen": 20.0}
    assert organ_volumes_mm3(label_map(), ("spleen",)) == {"spleen": 20.0}


def test_limits_are_exclusive():
    assert check_volumes(label_map(), MEANS).accepted
    assert rules(check_volumes(label_map(liver=90), MEANS)) == ["volume-high/liver"]
    assert check_volumes(label_map(liver=89), MEANS).accepted
    assert rules(check_volumes(label_map(liver=10), MEANS)) == ["volume-low/liver"]
    assert check_volumes(label_map(liver=11), MEANS).accepted


def test_all_objections_are_listed():
    verdict = check_volumes(label_map(liver=150, spleen=0), MEANS)
    assert verdict.objections == (
        Objection("volume-high", "liver", 300.0, 180.0),
        Objection("missing", "spleen", 0.0, 4.0),
    )


@pytest.mark.parametrize(
    ("policy", "at_edge", "accepted"),
    [
        ("reject", False, False),
        ("reject", True, False),
        ("ignore", False, True),
        ("inside-fov", False, False),
        ("inside-fov", True, True),
    ],
)
def test_missing_organs(policy, at_edge, accepted):
    rule = VolumeRatioRule(missing=policy)
    assert check_volumes(label_map(spleen=0, at_edge=at_edge), MEANS, rule).accepted is accepted


def test_cut_organs_are_not_measured():
    cut = label_map(liver=5, at_edge=True)
    assert not check_volumes(cut, MEANS).accepted
    assert check_volumes(cut, MEANS, VolumeRatioRule(missing="inside-fov")).accepted


def test_organs_without_reference_are_not_tested():
    assert check_volumes(label_map(spleen=0), {"liver": 100.0}).accepted


def test_only_the_chosen_organs_are_tested():
    rule = VolumeRatioRule(organs=("liver",))
    assert check_volumes(label_map(spleen=0), MEANS, rule).accepted
    assert rules(check_volumes(label_map(liver=5, spleen=0), MEANS, rule)) == ["volume-low/liver"]


def test_means_are_over_the_cases_that_have_the_organ():
    cases = [{"liver": 100.0, "spleen": 0.0}, {"liver": 200.0, "spleen": 30.0}, {"liver": 150.0}]
    assert mean_volumes_mm3(cases) == {"liver": 150.0, "spleen": 30.0}
    assert mean_volumes_mm3(cases, absent_counts_zero=True) == {"liver": 150.0, "spleen": 15.0}
    with pytest.raises(UsageError, match="at least one"):
        mean_volumes_mm3([])
