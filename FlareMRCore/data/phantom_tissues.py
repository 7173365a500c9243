"""The phantom's tissues: `resources/phantom_tissues.json` is the only list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from FlareMRCore.data.labels import organ_table


@dataclass(frozen=True, slots=True)
class Tissue:
    """What a tissue code means and how the tissue looks; the units are in the resource file.

    Attributes:
        code: value in the tissue array; 1 to 13 are the organs' main tissues.
        id: stable identifier, e.g. ``"muscle"``.
        organ_value: label value it belongs to, 0 for background.
        fat: part of its protons that are fat.
        gd_mmol: contrast agent in the arterial, venous and delayed phase.
        is_blood: flowing blood, dark in spin echo.
    """

    code: int
    id: str
    organ_value: int
    hu: float
    iodine_hu: float
    pd: float
    fat: float
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    adc: float
    gd_mmol: tuple[float, float, float]
    texture: float
    is_blood: bool


@cache
def tissue_table() -> Mapping[str, Tissue]:
    """All tissues by identifier; see the resource file for sources."""
    return {entry["id"]: _tissue(entry) for entry in _resource()["tissues"]}


@cache
def pure_fat() -> Mapping[str, float]:
    """T1, T2, T2* in ms and diffusion of fat protons (keys as in the resource file)."""
    return {key: float(value) for key, value in _resource()["fat"].items() if key != "source"}


def tissue_code(tissue_id: str) -> int:
    """Code of a tissue."""
    return tissue_table()[tissue_id].code


def organ_lookup() -> NDArray[np.uint8]:
    """Label value of each tissue code, shape (256,)."""
    lookup = np.zeros(256, dtype=np.uint8)
    for tissue in tissue_table().values():
        lookup[tissue.code] = tissue.organ_value
    return lookup


def _tissue(entry: Mapping[str, Any]) -> Tissue:
    organ = entry["organ"]
    arterial, venous, delay = entry["gd_mmol"]
    numbers = ("hu", "iodine_hu", "pd", "fat", "t1_ms", "t2_ms", "t2_star_ms", "adc", "texture")
    return Tissue(
        code=entry["code"],
        id=entry["id"],
        organ_value=organ_table().by_id(organ).value if organ else 0,
        gd_mmol=(arterial, venous, delay),
        is_blood=bool(entry.get("flow", False)),
        **{key: float(entry[key]) for key in numbers},
    )


@cache
def _resource() -> Mapping[str, Any]:
    text = files("FlareMRCore").joinpath("resources/phantom_tissues.json")
    content: Mapping[str, Any] = json.loads(text.read_text(encoding="utf-8"))
    return content
