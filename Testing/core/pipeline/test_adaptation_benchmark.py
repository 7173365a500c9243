"""What the adaptation benchmark hands to recipes, and what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from FlareMRCore.errors import DatasetError, RecipeError
from FlareMRCore.pipeline.recipe import recipe_names
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.training.parameters import TrainingParameters

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from adaptation import Table, row_recipe
from adaptation_data import FOUR, real_dataset
from adaptation_recipes import changed_recipe, needed_recipe, reseeded_recipe
from adaptation_results import results_text
from adaptation_rows import ABLATION_ROWS, COHORT, LARGE, REAL_ROWS, WHOLE_ROWS, Row


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the real one, with empty files."""
    for name in ("ct/a_ct", "ct/a_label", "mr/b_t2spir", "mr/b_label4organ", "mr/c_t2spir"):
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    splits = {
        "uda_source": {"folder": "ct", "cases": "all"},
        "uda_target": {"folder": "mr", "cases": ["b"]},
        "uda_score": {"folder": "mr", "cases": ["c"]},
    }
    (tmp_path / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    return tmp_path


def test_images_to_train_on_come_without_the_labels_that_lie_beside_them(data: Path) -> None:
    dataset = real_dataset(data)
    source, target, score = dataset.cases
    assert (source.domain, source.label_source) == ("source", "manual")
    assert "duodenum" not in source.annotated
    assert (target.domain, target.label_map, target.annotated) == ("target", None, ())
    assert (score.domain, score.annotated) == ("target", FOUR)
    assert dataset.splits == {"default": {"train": ("a", "b"), "test": ("c",)}}


def test_missing_images_are_named(data: Path) -> None:
    (data / "mr/b_t2spir.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"b_t2spir\.nii\.gz"):
        real_dataset(data)


def test_changes_reach_inputs_cases_and_nested_parameters() -> None:
    recipe = load_recipe("contrast-randomized", preset="small")
    changes: dict[str, dict[str, Any]] = {
        "train-coarse": {"inputs": {"initial": []}, "sampling": {"keep_ct": 0.5}},
        "pack-base": {"where": {"labeled": None}},
    }
    changed = {spec.id: spec for spec in changed_recipe(recipe, changes).stages}
    assert changed["train-coarse"].inputs == {"packs": ("pack-base",)}
    assert isinstance(changed["train-coarse"].parameters, TrainingParameters)
    assert changed["train-coarse"].parameters.sampling.keep_ct == 0.5
    assert changed["train-coarse"].parameters.sampling.spacing_mm == 6.0
    assert changed["pack-base"].where.domain == "source"
    assert changed["pack-base"].where.labeled is None
    kept = needed_recipe(changed_recipe(recipe, changes), ["scores"])
    assert "train-base" not in [spec.id for spec in kept.stages]


def test_changes_of_nothing_there_is_are_mistakes() -> None:
    recipe = load_recipe("ct-only")
    with pytest.raises(RecipeError, match="no stage nowhere"):
        changed_recipe(recipe, {"nowhere": {}})
    with pytest.raises(RecipeError, match="no parameter spaceing_mm"):
        changed_recipe(recipe, {"train-base": {"sampling": {"spaceing_mm": 3.0}}})


def test_another_seed_changes_the_trainings_and_not_the_cases() -> None:
    recipe = load_recipe("ct-only", preset="mini")
    own, other = ({s.id: s.parameters for s in reseeded_recipe(recipe, n).stages} for n in (0, 1))
    assert own == {spec.id: spec.parameters for spec in recipe.stages}
    assert {key for key in own if own[key] != other[key]} == {"train-coarse"}


@pytest.mark.parametrize(
    ("rows", "preset", "changes"),
    [
        (WHOLE_ROWS, "mini", {"cohort": COHORT}),
        (ABLATION_ROWS, "mini", {}),
        (REAL_ROWS, "small", {}),
    ],
    ids=["eight", "ablation", "real"],
)
def test_every_row_is_a_recipe_that_ends_with_scores(
    rows: tuple[Row, ...], preset: str, changes: dict[str, Any], data: Path
) -> None:
    dataset = real_dataset(data) if preset == "small" else None
    table = Table("t", rows, preset, LARGE, dataset, changes)
    stages: dict[str, str] = {}
    for row in rows:
        if row.recipe in recipe_names():
            recipe = row_recipe(table, row, 0)
            assert recipe.stages[-1].id == "scores", row.id
            stages[row.id] = repr(recipe.stages)
    assert len(set(stages.values())) == len(stages), "two rows are the same"


def test_the_tables_show_changes_and_reasons() -> None:
    def result(dice: float) -> dict[str, Any]:
        return {"organs": {"liver": [dice, 0.5], "spleen": [None, None]}, "minutes": 2.0}

    found = {
        "eight": {
            "ct-only/all": {"0": result(0.2)},
            "contrast-randomized/all": {"0": result(0.5), "1": result(0.7)},
            "he2024/all": {"0": {"error": "There is no\nreason"}},
        }
    }
    text = results_text(found)
    scores = "0.600 ± 0.100 (2 seeds) | 0.500 ± 0.000 (2 seeds)"
    assert f"| contrast-randomized CT | {scores} | +0.400 |  | 2.0 | 0.60 - |" in text
    assert "| There is no | | | " in text
    assert "not run yet" in text
