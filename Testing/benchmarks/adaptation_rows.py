"""Rows of the adaptation benchmark: recipes, and what the ablations of their papers leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

LARGE = ("liver", "right_kidney", "left_kidney", "spleen", "stomach")
"""Organs of the phantom that 8 mm can show."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        id: unique, ``recipe/row``.
        title: what this row has; rows that begin with "+" add to the row before.
        changes: of the recipe, see `adaptation_recipes.Changes`.
        published: mean DSC in percent in the paper's ablation; None if it has no such row.
    """

    id: str
    title: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: float | None = None

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return self.id.partition("/")[0]


def _scored(*networks: str) -> Mapping[str, Any]:
    """Networks in place of the recipe's last ones."""
    return {"inputs": {"networks": networks}}


def _learned(slot: str, *cases: str) -> Mapping[str, Any]:
    """A training from scratch on some cases only."""
    return {"inputs": {slot: cases, "initial": ()}}


SEQUENCES = ("venous", "t2_fs", "t1_in", "t2", "t1_out", "arterial", "dwi", "delay")
COHORT: Mapping[str, Any] = MappingProxyType(
    {"ct_cases": 8, "mr_cases": 4, "sequences_each": 4, "test_cases": 8, "sequences": SEQUENCES,
     "spacing_mm": 8.0}
)  # fmt: skip
"""The people of the table of eight sequences; in the test one of each."""

WHOLE_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
    Row("li2024/all", "li2024"),
    Row("zhu2024/all", "zhu2024"),
    Row("he2024/all", "he2024"),
    Row("ye2023/all", "ye2023"),
    Row("stmt2023/all", "stmt2023"),
)

LI_ROWS = (
    Row(
        "li2024/ct-only",
        "li2024: big network, CT only",
        {"train-big-0": _learned("labeled", "ct"), "export": _scored("train-big-0")},
        39.02,
    ),
    Row("li2024/fake", "+ fake MR", {"export": _scored("train-big-0")}, 73.83),
    Row("li2024/pseudo", "pseudo-labeled MR", {"export": _scored("train-big-1")}, 78.35),
    Row("li2024/small", "small network", {"export": _scored("train-fine")}, 77.63),
    Row("li2024/two-stage", "+ two stages", {"export": {"feeding": {"views": ()}}}, 79.19),
    Row("li2024/all", "+ TTA", {"export": {"feeding": {"views": ("flip-KJI",)}}}, 79.42),
)
_IMAGES = {"inputs": {"source": ("ct",), "target": ("mr",)}, "source_range": {"low": -350.0,
    "high": 350.0}, "target_range": {"low": None, "high": None, "percentile": 99.9}}  # fmt: skip
ZHU_ROWS = (
    Row(
        "zhu2024/ct-only",
        "zhu2024: CT only",
        {"train-round-2": _learned("labeled", "ct"), "export": _scored("train-round-2")},
        15.32,
    ),
    Row(
        "zhu2024/images",
        "CycleGAN between images",
        {
            "translator": _IMAGES,
            "fake": {"inputs": {"cases": ("ct",)}, "low": 0.0, "high": 1000.0},
            "export": _scored("train-edges"),
        },
        20.01,
    ),
    Row(
        "zhu2024/edges",
        "between edges, its labels for all",
        {
            "train-round-2": {"inputs": {"labeled": ("ct", "predicted-1")}},
            "export": _scored("train-round-2"),
        },
        29.53,
    ),
    Row("zhu2024/matched", "+ matched labels", {"export": _scored("train-round-2")}, 52.93),
    Row("zhu2024/all", "+ rounds, filter, small network", {}, 60.53),
)
ABLATION_ROWS = (*LI_ROWS, *ZHU_ROWS)

REAL_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
    Row("li2024/fake", "li2024, first network: CT and fake MR", {"export": _scored("train-big-0")}),
    Row("li2024/all", "li2024"),
    Row("zhu2024/all", "zhu2024"),
    Row("he2024/all", "he2024"),
)
PEERS = (
    ("SLAug (Su et al., AAAI 2023)", 0.886),
    ("GIN-IPA (Ouyang et al., IEEE TMI 2023)", 0.863),
    ("supervised on MR", 0.93),
)
"""Published mean DSC of liver, kidneys and spleen, abdominal CT to CHAOS T2-SPIR, other splits."""
