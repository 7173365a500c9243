"""The stage that writes labeled cases as a raw data set of nnU-Net v2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from FlareMRCore.data.atomic_file import write_json_atomically
from FlareMRCore.data.labels import organ_table, structure_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.data.volume_io import read_volume, write_array, write_volume
from FlareMRCore.errors import DatasetError, UsageError
from FlareMRCore.imaging.label_operations import remap_values
from FlareMRCore.pipeline.case_labels import (
    read_case_labels,
    require_allowed_labels,
    require_one_grid,
)
from FlareMRCore.pipeline.recipe_cases import RecipeCase
from FlareMRCore.pipeline.stage import CASES, NNUNET, Slot, Stage, StageContext, StageInputs

ENDING = ".nii.gz"
DOCUMENT_NAME = "dataset.json"
TUMOR, IGNORED = "tumor", "ignored"


@dataclass(frozen=True, slots=True)
class NnunetParameters:
    """Names of the data set.

    Attributes:
        number: identifier, 1 to 999.
        name: letters, digits and underscores.
        channel: name of the only channel; nnU-Net normalizes "CT" by all cases together and
            anything else case by case.
        target_labels: take manual labels of target cases too, which adaptation must not see.
        tumors: tumors are a class; otherwise their voxels are ignored.
    """

    number: int = 501
    name: str = "FlareMR"
    channel: str = "MR"
    target_labels: bool = False
    tumors: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 999 or not re.fullmatch(r"[A-Za-z0-9_]+", self.name):
            raise UsageError(
                "A data set of nnU-Net has a number from 1 to 999 and a plain name; found "
                f"{self.number} and '{self.name}'.",
                code="usage.nnunet",
            )

    @property
    def folder(self) -> str:
        """Name of the folder, as nnU-Net wants it."""
        return f"Dataset{self.number:03d}_{self.name}"


def export_nnunet(
    inputs: StageInputs, parameters: NnunetParameters, context: StageContext
) -> tuple[RecipeCase, ...]:
    """A folder ``DatasetNNN_NAME`` with dataset.json, imagesTr and labelsTr.

    Cases without labels are left out. nnU-Net cannot mask single organs, so all cases must have
    all organs (and tumors, if those are a class) annotated or predicted; ignored voxels get
    nnU-Net's ignore label.

    Raises:
        DatasetError: no case has labels, a case lacks organs, two have one name, or a target case
            has labels that no model made.
        GeometryError: image and labels of a case lie on different grids.
    """
    cases = [case for case in inputs.cases["cases"] if case.label_map is not None]
    if not parameters.target_labels:
        for case in cases:
            require_allowed_labels(case)
    _require_complete(cases, tumors=parameters.tumors)
    names = _names(cases)
    values = _values(cases, tumors=parameters.tumors)
    folder = context.folder / parameters.folder
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number, (case, name) in enumerate(zip(cases, names, strict=True)):
        context.reporter.advance("export", number, len(cases))
        volume, labels = read_volume(case.image.path), read_case_labels(case)
        require_one_grid(case, (volume, labels))
        array = remap_values(labels.array, values, others=0)
        write_volume(folder / "imagesTr" / f"{name}_0000{ENDING}", volume)
        changed = LabelMap(array, volume.geometry, labels.labels)
        write_array(folder / "labelsTr" / f"{name}{ENDING}", changed, None)
    content = {
        "channel_names": {"0": parameters.channel},
        "labels": _label_names(values),
        "numTraining": len(cases),
        "file_ending": ENDING,
        "name": parameters.name,
    }
    write_json_atomically(folder / DOCUMENT_NAME, content)
    return ()


def _require_complete(cases: Sequence[RecipeCase], *, tumors: bool) -> None:
    if not cases:
        raise DatasetError("No case has labels to export.", code="recipe.no-cases")
    wanted = {label.id for label in organ_table()} | ({TUMOR} if tumors else set())
    partial = [case.case_id for case in cases if not wanted <= set(case.annotated)]
    if partial:
        raise DatasetError(
            f"{len(partial)} cases do not have everything annotated, and nnU-Net would learn the "
            f"rest as background: {', '.join(partial[:5])}.",
            code="recipe.partial",
            hint="Complete them first ('correct-partial'), or leave them out with 'where'.",
        )


def _names(cases: Sequence[RecipeCase]) -> list[str]:
    """Names of the cases as file names."""
    names = [re.sub(r"[^A-Za-z0-9.-]+", "_", case.case_id) for case in cases]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise DatasetError(
            f"Several cases would be called {', '.join(double)}.", code="recipe.names"
        )
    return names


def _values(cases: Sequence[RecipeCase], *, tumors: bool) -> dict[int, int]:
    """New value of each label: organs, tumors if they are a class, then what is ignored.

    nnU-Net wants consecutive values, and those to ignore last.
    """
    table = structure_table()
    tumor, ignored = table.by_id(TUMOR).value, table.by_id(IGNORED).value
    kept = (0, *(label.value for label in organ_table()), *((tumor,) if tumors else ()))
    values = {old: new for new, old in enumerate(kept)}
    skipped = [value for value in (tumor, ignored) if value not in values]
    if any(np.isin(read_case_labels(case).array, skipped).any() for case in cases):
        values |= dict.fromkeys(skipped, len(kept))
    return values


def _label_names(values: Mapping[int, int]) -> dict[str, int]:
    names = {label.value: label.id for label in structure_table()}
    names |= {0: "background", structure_table().by_id(IGNORED).value: "ignore"}
    # The last of equal values names them: tumors that are ignored come before what always is.
    by_value = {new: names[old] for old, new in values.items()}
    return {name: value for value, name in by_value.items()}


NNUNET_STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "export-nnunet": Stage(
            1, NnunetParameters, export_nnunet, NNUNET, {"cases": Slot(CASES, many=True)}
        )
    }
)
"""Joined to STAGES."""
