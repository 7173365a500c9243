import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe import recipe_names
from FlareMRCore.pipeline.recipe_parsing import load_recipe
from FlareMRCore.pipeline.recipe_writing import recipe_toml, save_recipe

sys.path.insert(0, str(Path(__file__).parent))
from recipe_fakes import STAGES, Make, fake_recipe


@pytest.mark.parametrize("name", recipe_names())
def test_a_saved_recipe_reads_back_as_it_was(name: str, tmp_path: Path) -> None:
    for preset in ("paper", "mini"):
        recipe = load_recipe(name, preset=preset)
        save_recipe(tmp_path / "saved.toml", recipe)
        found = load_recipe(str(tmp_path / "saved.toml"))
        assert found.stages == recipe.stages
        assert (found.name, found.title) == (recipe.name, recipe.title)


def test_every_parameter_is_written(tmp_path: Path) -> None:
    text = recipe_toml(fake_recipe(tmp_path))
    assert 'id = "made"\nuse = "make"\ncount = 3\ntext = "x"\n' in text
    assert 'inputs = { "cases" = ["doubled"] }' in text


def test_any_text_survives(tmp_path: Path) -> None:
    recipe = fake_recipe(tmp_path)
    spec = recipe.stages[0]
    odd = 'quote " backslash \\ tab \t line \n del \x7f é'
    changed = replace(recipe, stages=(replace(spec, parameters=Make(1, odd)), *recipe.stages[1:]))
    save_recipe(tmp_path / "odd.toml", changed, stages=STAGES)
    (tmp_path / "odd.toml").read_text(encoding="utf-8")
    assert load_recipe(str(tmp_path / "odd.toml"), stages=STAGES).stages[0].parameters.text == odd


@dataclass(frozen=True)
class Optional:
    count: int | None = 3


def test_what_toml_cannot_say_is_refused(tmp_path: Path) -> None:
    recipe = fake_recipe(tmp_path)
    spec = replace(recipe.stages[0], parameters=Optional(None))
    stages = {**STAGES, "make": replace(STAGES["make"], parameters=Optional)}
    with pytest.raises(RecipeError, match="Stages made"):
        save_recipe(
            tmp_path / "lost.toml",
            replace(recipe, stages=(spec, *recipe.stages[1:])),
            stages=stages,
        )
    assert not (tmp_path / "lost.toml").exists()
