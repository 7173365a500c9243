"""Phantom cohorts in which a person is seen in several sequences, and moves in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from FlareMRCore.data.phantom import make_phantom, phantom_geometry
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageContext, StageInputs
from FlareMRCore.pipeline.stages_images import PhantomCohortParameters, phantom_cohort
from FlareMRCore.progress import SilentReporter


def cohort(folder: Path, parameters: PhantomCohortParameters) -> tuple[RecipeCase, ...]:
    folder.mkdir()
    return phantom_cohort(StageInputs(), parameters, StageContext(folder, folder, SilentReporter()))


def test_people_are_seen_in_several_sequences(tmp_path):
    parameters = PhantomCohortParameters(
        ct_cases=1, mr_cases=2, test_cases=1, sequences=("t1_pre", "t2", "dwi"), spacing_mm=16.0,
        sequences_each=2, motion_mm=20.0,
    )  # fmt: skip
    cases = cohort(tmp_path / "out", parameters)
    assert [case.case_id for case in cases] == [
        "phantom-1000-ct", "phantom-1001-t1_pre", "phantom-1001-t2", "phantom-1002-t2",
        "phantom-1002-dwi", "phantom-1003-dwi",
    ]  # fmt: skip
    assert [case.patient_id for case in cases[1:3]] == ["phantom-1001"] * 2
    assert [case.label_map is None for case in cases] == [False, True, True, True, True, False]
    geometry = phantom_geometry(16.0)
    for case, sequence, moved in ((cases[1], "t1_pre", False), (cases[2], "t2", True)):
        still, _ = make_phantom(1001, sequence, geometry=geometry)
        found = read_volume(case.image.path)
        assert found.geometry.coincides(geometry)
        assert np.allclose(found.array, still.array, rtol=1e-4) != moved
