"""Images brought onto each other, and labels passed between them: bodies moved by known steps."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareMRCore.data.label_io import read_label_map
from FlareMRCore.data.volume_io import read_volume
from FlareMRCore.errors import DatasetError
from FlareMRCore.imaging.registration import RegistrationOptions
from FlareMRCore.imaging.registration_transform import load_transform
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import StageInputs
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_cases import AdoptLabelsParameters, SelectParameters
from FlareMRCore.pipeline.stages_label_values import ZeroOutsideParameters
from FlareMRCore.pipeline.stages_registration import PropagateParameters, RegisterParameters

sys.path.insert(0, str(Path(__file__).parent))
from hand_made_cases import body, case, context

SHIFT_VOX = 3
ON_MASKS = RegistrationOptions(on="mask", metric="meansquares", backend="sitk")
TRANSLATION = RegisterParameters("translation", options=ON_MASKS)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def _labels(found: RecipeCase) -> np.ndarray:
    assert found.label_map is not None
    return np.asarray(read_label_map(found.label_map.path).array)


def _register(
    folder: Path, moving: RecipeCase, references: tuple[RecipeCase, ...], **slots: object
) -> RecipeCase:
    parameters = slots.pop("parameters", TRANSLATION)
    inputs = StageInputs({"cases": (moving,), "references": references, **slots})  # type: ignore[dict-item]
    (found,) = STAGES["register"].run(inputs, parameters, context(folder))
    return found


def test_the_image_moves_and_the_label_of_its_owner_does_not(tmp_path: Path) -> None:
    still, labels = body()
    moved, _ = body(SHIFT_VOX)
    owner = case(tmp_path, "p1-delay", still, labels, sequence="delay")
    other = case(tmp_path, "p1-t2", moved, sequence="t2")
    found = _register(tmp_path, other, (owner,))
    warped = read_volume(found.image.path)
    assert np.corrcoef(warped.array.ravel(), still.ravel())[0, 1] > 0.97
    assert found.label_source == "predicted"
    assert list(found.images) == ["t2"]
    kept = _labels(found)
    assert set(np.unique(kept)) <= {0, 1}
    assert not (kept > labels).any()
    assert _dice(kept > 0, labels > 0) > 0.97
    matrix = load_transform(tmp_path / "out" / "transform.npz").matrix
    assert matrix[:3, 3] == pytest.approx([5.0 * SHIFT_VOX, 0, 0], abs=2.5)


def test_a_label_ends_where_the_other_image_does_not_reach(tmp_path: Path) -> None:
    still, labels = body()
    moved, _ = body(SHIFT_VOX)
    owner = case(tmp_path, "p1-delay", still, labels)
    guide = case(tmp_path, "p1-t1", moved)
    moved[:10] = 0
    other = case(tmp_path, "p1-t2", moved)
    found = _labels(_register(tmp_path, other, (owner,), guides=(guide,)))
    assert labels[:8].any()
    assert not found[:8].any()
    assert (found[12:] == labels[12:]).all()


def test_the_reference_itself_joins_with_its_labels(tmp_path: Path) -> None:
    still, labels = body()
    owner = case(tmp_path, "p1-delay", still, labels)
    assert _register(tmp_path, owner, (owner,)) == owner


def test_without_a_reference_of_the_patient_a_case_stays_unlabeled(tmp_path: Path) -> None:
    still, labels = body()
    owner = case(tmp_path, "p2-delay", still, labels)
    other = case(tmp_path, "p1-t2", still, labels)
    found = _register(tmp_path, other, (owner,))
    assert found.label_map is None
    assert found.images == other.images


def test_a_guide_lends_its_transform(tmp_path: Path) -> None:
    still, labels = body()
    moved, _ = body(SHIFT_VOX)
    owner = case(tmp_path, "p1-pre", still, labels)
    guide = case(tmp_path, "p1-ip", moved, sequence="t1_in")
    follower = case(tmp_path, "p1-op", 0.1 * moved, sequence="t1_out")
    found = _register(tmp_path, follower, (owner,), guides=(guide,))
    warped = read_volume(found.image.path).array
    assert np.corrcoef(warped.ravel(), still.ravel())[0, 1] > 0.97


def test_own_labels_can_move_along(tmp_path: Path) -> None:
    still, labels = body()
    moved, moved_labels = body(SHIFT_VOX)
    fixed = case(tmp_path, "p1-mr", still)
    ct = case(tmp_path, "p2-ct", moved, moved_labels, domain="source", source="manual")
    parameters = RegisterParameters("translation", partner="first", labels="warp", options=ON_MASKS)
    found = _register(tmp_path, ct, (fixed,), parameters=parameters)
    assert _dice(_labels(found) > 0, labels > 0) > 0.85
    assert (found.domain, found.label_source) == ("source", "manual")


def test_a_label_map_without_organs_leaves_the_case_as_it_is(tmp_path: Path) -> None:
    image, labels = body()
    fixed = case(tmp_path, "p1-ct", image, labels, domain="source", source="manual")
    empty = case(tmp_path, "p2-ct", image, 0 * labels, domain="source", source="manual")
    on_labels = RegistrationOptions(on="label", backend="sitk")
    parameters = replace(TRANSLATION, partner="first", labels="warp", options=on_labels)
    assert _register(tmp_path, empty, (fixed,), parameters=parameters) == empty


def test_labels_come_from_the_body_of_the_same_size(tmp_path: Path) -> None:
    still, labels = body()
    moved, moved_labels = body(SHIFT_VOX)
    small, small_labels = body(0, 0.6)
    fixed = case(tmp_path, "p1-t2", still)
    candidates = (
        case(tmp_path, "p2-small", small, small_labels),
        case(tmp_path, "p3-alike", moved, moved_labels),
        case(tmp_path, "p4-unlabeled", still),
    )
    parameters = PropagateParameters("translation", options=ON_MASKS)
    inputs = StageInputs({"cases": (fixed,), "labeled": candidates})
    (found,) = STAGES["propagate-labels"].run(inputs, parameters, context(tmp_path))
    assert found.images == fixed.images
    assert found.label_source == "predicted"
    assert _dice(_labels(found) > 0, labels > 0) > 0.85


def test_truth_of_the_target_is_never_passed_on(tmp_path: Path) -> None:
    still, labels = body()
    truth = case(tmp_path, "p1-delay", still, labels, source="manual")
    other = case(tmp_path, "p1-t2", still)
    with pytest.raises(DatasetError, match="no training may see"):
        _register(tmp_path, other, (truth,))
    with pytest.raises(DatasetError, match="no training may see"):
        STAGES["propagate-labels"].run(
            StageInputs({"cases": (other,), "labeled": (truth,)}),
            PropagateParameters(),
            context(tmp_path),
        )


def test_labels_of_another_form_of_the_case_are_adopted(tmp_path: Path) -> None:
    still, labels = body()
    raw, other = case(tmp_path, "p1-t2", still), case(tmp_path, "p2-t2", still)
    edges = case(tmp_path / "edges", "p1-t2", still * 2, labels)
    run = STAGES["adopt-labels"].run
    found = [
        run(StageInputs({"cases": (one,), "labels": (edges,)}), AdoptLabelsParameters(), None)[0]  # type: ignore[arg-type]
        for one in (raw, other)
    ]
    assert (found[0].images, found[0].label_map) == (raw.images, edges.label_map)
    assert found[1].label_map is None


def test_the_first_of_the_chosen_cases_go_on(tmp_path: Path) -> None:
    still, _ = body()
    cases = tuple(case(tmp_path, f"p{n}-t2", still) for n in range(3))
    inputs = StageInputs({"cases": cases})
    run = STAGES["select"].run
    assert run(inputs, SelectParameters(), None) == cases  # type: ignore[arg-type]
    assert run(inputs, SelectParameters(first=2), None) == cases[:2]  # type: ignore[arg-type]


def test_aligned_sequences_take_the_labels_of_their_patient_later(tmp_path: Path) -> None:
    still, labels = body()
    moved, _ = body(SHIFT_VOX)
    reference = case(tmp_path, "p1-delay", still, sequence="delay")
    other = case(tmp_path, "p1-t2", moved, sequence="t2")
    parameters = replace(TRANSLATION, labels="drop")
    aligned = [
        _register(tmp_path / one.case_id, one, (reference,), parameters=parameters)
        for one in (reference, other)
    ]
    assert [one.label_map for one in aligned] == [None, None]
    assert (read_volume(aligned[1].image.path).array[..., -2:] == 0).all()
    owner = case(tmp_path / "predicted", "p1-delay", still, labels)
    adopt, cut = STAGES["adopt-labels"].run, STAGES["zero-outside"].run
    for one in aligned:
        where = context(tmp_path / f"zeroed-{one.case_id}")
        inputs = StageInputs({"cases": (one,), "labels": (owner,)})
        (labeled,) = adopt(inputs, AdoptLabelsParameters("patient"), where)
        (found,) = cut(StageInputs({"cases": (labeled,)}), ZeroOutsideParameters(), where)
        assert _dice(_labels(found) > 0, labels > 0) > 0.97
