import dataclasses
from typing import Any, get_type_hints

import pytest

from FlareMRCore.pipeline.citations import PLACEHOLDER, Use, load_citations, value_text
from FlareMRCore.pipeline.recipe import recipe_names
from FlareMRCore.pipeline.stages import STAGES

CITATIONS = load_citations()
PAPERS = ("li2024", "zhu2024", "he2024", "ye2023", "stmt2023")


def _field(kind: Any, path: str) -> bool:
    """Whether a dataclass has the field at a dotted path."""
    name, _, rest = path.partition(".")
    hints = get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
    return name in hints and (not rest or _field(hints[name], rest))


def test_rules_cite_works_that_exist_and_every_work_may_be_cited() -> None:
    cited = {key for rule in CITATIONS.rules for key in rule.works}
    assert cited | {"flaremr"} == set(CITATIONS.works)


@pytest.mark.parametrize("stage", sorted(CITATIONS.sentences))
def test_sentences_name_stages_and_parameters_that_exist(stage: str) -> None:
    names = PLACEHOLDER.findall(CITATIONS.sentences[stage])
    assert [n for n in names if not _field(STAGES[stage].parameters, n)] == []


def test_rules_name_stages_that_exist() -> None:
    assert {rule.stage for rule in CITATIONS.rules} - {""} <= set(STAGES)


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_cites_its_paper(name: str) -> None:
    assert CITATIONS.of(Use(recipe=name)) == (name,)


def test_recipes_of_papers_are_those_that_are_cited() -> None:
    ours = set(recipe_names()) - set(PAPERS)
    assert all(CITATIONS.of(Use(recipe=name)) == () for name in ours)


def test_conditions_are_all_needed() -> None:
    syn, affine = {"kind": "syn"}, {"kind": "affine"}
    assert CITATIONS.of(Use("", "register", syn, ("ants",))) == ("ants", "avants2008")
    assert CITATIONS.of(Use("", "register", affine, ("ants",))) == ("ants",)
    assert CITATIONS.of(Use("", "register", syn, ("sitk",))) == ("simpleitk",)
    assert CITATIONS.of(Use("", "register", syn)) == ()


def test_parameters_are_found_at_any_depth() -> None:
    adam = {"training": {"optimization": {"optimizer": "adam"}}}
    assert CITATIONS.of(Use("", "train-pools", adam)) == ("kingma2015",)
    network = {"training": {"builder": "li2024-big", "method": "supervised"}}
    assert CITATIONS.of(Use("", "train-pools", network)) == ("liu2022", "li2024")
    assert CITATIONS.of(Use("", "train-pools", {"builder": "flaremr-fine"})) == ()


def test_random_contrast_is_cited_where_there_was_any() -> None:
    mixed, plain = ({"sampling": {"keep_ct": share}} for share in (0.05, 1.0))
    works = ("loshchilov2019", "billot2023", "ouyang2023")
    assert CITATIONS.of(Use("", "train-segmentation", mixed)) == works
    assert CITATIONS.of(Use("", "train-segmentation", plain)) == works[:1]


def test_a_sentence_has_the_recorded_values() -> None:
    text = CITATIONS.sentence("resample", {"spacing_mm": [4.0, 1.5, 1.5]})
    assert text.startswith("Images and labels were resampled to voxels of 4 x 1.5 x 1.5 mm")


@pytest.mark.parametrize("stage", ["no-such-stage", "resample"])
def test_nothing_is_made_up_where_nothing_was_recorded(stage: str) -> None:
    assert CITATIONS.sentence(stage, {}) == f"Stage '{stage}' was run."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (2.0, "2"),
        (True, "yes"),
        (["a", "b"], "a, b"),
        ([1, 2, 3, 4], "1, 2, 3, 4"),
        ({"low": 0.5}, "low 0.5"),
    ],
)
def test_values_for_people(value: object, text: str) -> None:
    assert value_text(value) == text
