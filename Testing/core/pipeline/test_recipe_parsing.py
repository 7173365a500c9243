import sys
from dataclasses import replace
from pathlib import Path

import pytest

from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe import recipe_names
from FlareMRCore.pipeline.recipe_cases import CaseFilter
from FlareMRCore.pipeline.recipe_parsing import RESERVED, load_recipe
from FlareMRCore.pipeline.stages import STAGES
from FlareMRCore.pipeline.stages_training import PackParameters
from FlareMRCore.training.parameters import TrainingParameters

sys.path.insert(0, str(Path(__file__).parent))
from recipe_fakes import RECIPE, Count, Double, Make, fake_recipe
from recipe_fakes import STAGES as FAKES

BROKEN = """
name = "broken"
titel = "x"
description = "d"

[[stage]]
id = "a"
use = "make"
cuont = 3
text = 5

[[stage]]
id = "b"
use = "dubble"

[[stage]]
id = "c"
use = "double"
input = "d"

[[stage]]
id = "d"
use = "collect"
inputs = { cases = ["a", "nowhere"], model = "a" }

[[stage]]
id = "e"
use = "double"
input = "d"
where = { domian = "source" }

[[stage]]
id = "f"
use = "count"

[[stage]]
id = "g"
use = "count"
inputs = { pack = ["d", "d"] }
where = { domain = "source" }
from = "training/none.toml"
skip = "no"

[[stage]]
id = "h"
use = "count"
input = "d"
where = { domain = "source" }
from = "training/none.toml"
"""


def _problems(folder: Path, text: str) -> list[str]:
    path = folder / "broken.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path), stages=FAKES)
    lines = str(caught.value).splitlines()
    assert str(path) in lines[0]
    assert all(line.startswith("  - broken.toml: ") for line in lines[1:])
    return [line.removeprefix("  - broken.toml: ") for line in lines[1:]]


def test_mistakes_outside_of_stages_come_together(tmp_path: Path) -> None:
    text = BROKEN + '[[stage]]\nid = "a"\nuse = "make"\n[presets.mini]\nz = { x = 1 }\nb = 3\n'
    assert _problems(tmp_path, text + '[profiles.code.a]\nuse = "double"\n') == [
        "unknown key 'titel' (did you mean 'title'?)",
        "'title' is missing or no text",
        "stage 'a' occurs twice",
        "preset 'mini': there is no stage 'z'",
        "preset 'mini': stage 'b' should be a table",
        "profile 'code': stage 'a': 'use' is fixed",
    ]


def test_every_mistake_of_every_stage_is_reported_with_its_id(tmp_path: Path) -> None:
    found = _problems(tmp_path, BROKEN.replace("titel", "title"))
    assert found == [
        "stage 'a': 'text' should be a text, is 5",
        "stage 'a': unknown key 'cuont' (did you mean 'count'?)",
        "stage 'b': there is no kind of stage 'dubble' (did you mean 'double'?)",
        "stage 'c': input 'cases': stage 'd' comes later, is skipped or has mistakes",
        "stage 'd': unknown input 'model'",
        "stage 'd': input 'cases': there is no stage 'nowhere'",
        "stage 'e': input 'cases' takes cases and runs for each case, 'd' makes pack",
        "stage 'e': unknown key 'where.domian' (did you mean 'domain'?)",
        "stage 'f': input 'pack' is missing",
        "stage 'g': 'skip' should be true or false, is 'no'",
        "stage 'h': 'from': FlareMR has no resource 'training/none.toml'",
        "stage 'h': 'where' chooses cases, but the first input of this stage is none",
    ]


def test_a_mistake_in_a_preset_is_found_whichever_is_run(tmp_path: Path) -> None:
    text = RECIPE.replace("steps = 1", 'steps = "one"').replace("times = 3", "times = 2.5")
    assert _problems(tmp_path, text) == [
        "stage 'doubled': 'times' should be a whole number, is 2.5 (with profile 'safe')",
        "stage 'counted': 'steps' should be a whole number, is 'one' (with preset 'mini')",
    ]


def test_what_skipping_breaks_is_found(tmp_path: Path) -> None:
    text = RECIPE.replace("made = { count = 2 }", "packed = { skip = true }")
    (problem,) = _problems(tmp_path, text)
    assert problem.startswith("stage 'counted': input 'pack': stage 'packed' comes later, is skip")


def test_presets_and_profiles_override_parameters(tmp_path: Path) -> None:
    paper = fake_recipe(tmp_path)
    mini = fake_recipe(tmp_path, preset="mini")
    safe = load_recipe(str(tmp_path / "fake.toml"), preset="mini", profile="safe", stages=FAKES)
    assert [spec.id for spec in paper.stages] == ["made", "doubled", "packed", "counted"]
    assert [s.parameters for s in paper.stages][::3] == [Make(), Count()]
    assert [s.parameters for s in mini.stages][::3] == [Make(count=2), Count(steps=1)]
    assert mini.stages[1].parameters == Double()
    assert safe.stages[1].parameters == Double(times=3)
    assert safe.label == "fake mini safe"


def test_stages_may_be_skipped_filtered_and_fed_by_the_dataset(tmp_path: Path) -> None:
    text = RECIPE + "\n[presets.big]\nmade = { skip = true }\n[presets.big.doubled]\n"
    text += 'input = "dataset"\nwhere = { domain = "source" }\n'
    recipe = fake_recipe(tmp_path, text, preset="big")
    assert recipe.stages[0].inputs == {"cases": ("dataset",)}
    assert recipe.stages[0].where == CaseFilter(domain="source")


def test_a_preset_leaves_an_optional_input_empty_and_no_other(tmp_path: Path) -> None:
    trained = {spec.id: spec for spec in load_recipe("ct-only", preset="mini").stages}
    assert trained["train-coarse"].inputs == {"packs": ("pack-coarse",)}
    text = RECIPE + "\n[presets.none]\ncounted = { inputs = { pack = [] } }\n"
    problems = _problems(tmp_path, text)
    assert "stage 'counted': input 'pack' is missing (with preset 'none')" in problems


def test_ct_only_differs_from_contrast_randomized_in_what_is_shown_of_a_ct_alone() -> None:
    for preset in ("paper", "small", "mini"):
        ours, plain = (
            {spec.id: spec.parameters for spec in load_recipe(name, preset=preset).stages}
            for name in ("contrast-randomized", "ct-only")
        )
        assert ours.keys() == plain.keys()
        trainings = [p for p in ours.items() if isinstance(p[1], TrainingParameters)]
        assert trainings
        for stage_id, parameters in trainings:
            as_it_is = replace(parameters.sampling, keep_ct=1.0)
            assert plain[stage_id] == replace(parameters, sampling=as_it_is)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="contrast-randomized"):
        load_recipe("no-such-recipe")
    fake_recipe(tmp_path)
    with pytest.raises(RecipeError, match="no preset 'tiny'"):
        load_recipe(str(tmp_path / "fake.toml"), preset="tiny", stages=FAKES)
    (tmp_path / "bad.toml").write_text("name = [", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"bad\.toml' is not TOML"):
        load_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_that_come_with_flaremr_have_no_mistakes(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert {"paper", "small", "mini"} <= set(recipe.presets)


def test_trainings_have_one_source_of_numbers() -> None:
    recipe = load_recipe("contrast-randomized")
    trainings = [
        s.parameters for s in recipe.stages if isinstance(s.parameters, TrainingParameters)
    ]
    packs = [s.parameters for s in recipe.stages if isinstance(s.parameters, PackParameters)]
    assert [t.builder for t in trainings] == ["flaremr-base", "flaremr-coarse", "flaremr-fine"]
    assert [t.sampling.spacing_mm for t in trainings] == [p.spacing_mm for p in packs]


def test_one_key_of_a_resource_is_enough(tmp_path: Path) -> None:
    text = RECIPE.replace('use = "count"', 'use = "count"\nfrom = "training/base.toml#steps"')
    counted = fake_recipe(tmp_path, text).stages[-1].parameters
    assert isinstance(counted, Count)
    assert counted.steps > Count().steps
    (problem,) = _problems(tmp_path, text.replace("#steps", "#sampling.none"))
    assert problem == "stage 'counted': 'from': 'training/base.toml' has no 'sampling.none'"


def test_parameters_of_stages_do_not_hide_reserved_keys() -> None:
    for stage in (*STAGES.values(), *FAKES.values()):
        assert not set(stage.parameters.__dataclass_fields__) & set(RESERVED)
