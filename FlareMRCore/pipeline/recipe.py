"""Recipes: which stages run in which order, with which inputs and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareMRCore.data.toml_file import read_toml
from FlareMRCore.errors import RecipeError
from FlareMRCore.pipeline.recipe_cases import CaseFilter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DATASET_INPUT = "dataset"
"""Input that means the cases given on the command line."""
DEFAULT = "paper"
"""Preset and profile that every recipe has: its text as it stands."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of a recipe.

    Attributes:
        id: unique in the recipe.
        use: key of the table of stages.
        parameters: of the stage, bound and checked.
        inputs: by slot, ids of earlier stages or `DATASET_INPUT`.
        where: which cases of the first slot it takes.
    """

    id: str
    use: str
    parameters: DataclassInstance
    inputs: Mapping[str, tuple[str, ...]]
    where: CaseFilter = CaseFilter()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as one preset and one profile have it; stages they skip are left out."""

    name: str
    title: str
    description: str
    preset: str
    profile: str
    stages: tuple[StageSpec, ...]
    presets: tuple[str, ...] = (DEFAULT,)
    profiles: tuple[str, ...] = (DEFAULT,)

    @property
    def label(self) -> str:
        """Name, preset and profile in one line."""
        return f"{self.name} {self.preset} {self.profile}"


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with FlareMR."""
    folder = files("FlareMRCore").joinpath("resources/recipes")
    return tuple(sorted(Path(p.name).stem for p in folder.iterdir() if p.name.endswith(".toml")))


def recipe_path(name_or_path: str) -> Path:
    """File of the recipe: one that comes with FlareMR, by name, or any by its path.

    Raises:
        RecipeError: there is none; the message lists those there are.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" and path.is_file():
        return path
    if name_or_path in recipe_names():
        bundled = files("FlareMRCore").joinpath(f"resources/recipes/{name_or_path}.toml")
        return Path(str(bundled))
    raise RecipeError(
        f"There is no recipe '{name_or_path}'. Known: {', '.join(recipe_names())}.",
        code="recipe.missing",
        hint="Give one of these names, or the path of a .toml file.",
    )


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Content of a recipe file, unchecked.

    Raises:
        RecipeError: it cannot be read, or is no TOML.
    """
    return read_toml(path, RecipeError, "recipe.toml")
