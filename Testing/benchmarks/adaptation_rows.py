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
        profile: of the recipe.
        organs: what is scored instead of the table's organs; empty for those.
    """

    id: str
    title: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: float | None = None
    profile: str = "paper"
    organs: tuple[str, ...] = ()

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


def _shares(*pools: str) -> Mapping[str, Any]:
    """Batches of one case of each pool."""
    return {"composition": {"shares": tuple((pool, 1) for pool in pools)}}


SEQUENCES = ("t1_pre", "arterial", "venous", "delay", "t1_in", "t1_out", "t2_fs", "dwi")
"""Those of LLD-MMRI."""
COHORT: Mapping[str, Any] = MappingProxyType(
    {"ct_cases": 8, "mr_cases": 3, "sequences_each": 8, "motion_mm": 10.0, "test_cases": 8,
     "sequences": SEQUENCES, "spacing_mm": 8.0}
)  # fmt: skip
"""The people of the table of eight sequences; in the test one of each."""

WHOLE_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
    Row("li2024/all", "li2024"),
    Row("zhu2024/all", "zhu2024"),
    Row("he2024/all", "he2024"),
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
    Row("li2024/tta", "+ TTA", {"export": {"feeding": {"views": ("flip-KJI",)}}}, 79.42),
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
_SUPERVISED = {"method": "supervised", **_shares("labeled")}
HE_ROWS = (
    Row(
        "he2024/ct-only",
        "he2024: CT only",
        {
            "train-1": {"inputs": {"labeled": ("ct",), "unlabeled": ()}, "training": _SUPERVISED},
            "export": _scored("train-1"),
        },
        72.75,
    ),
    Row(
        "he2024/unlabeled",
        "CT and unlabeled MR",
        {
            "train-1": {"inputs": {"labeled": ("ct",), "unlabeled": ("mr",)}},
            "export": _scored("train-1"),
        },
        73.14,
    ),
    Row("he2024/fake", "fake T1 and unlabeled T1", {"export": _scored("train-1")}),
    Row(
        "he2024/without-ct",
        "all sequences, without CT",
        {"train-2": {"inputs": {"labeled": ("pseudo-2",)}}, "export": _scored("train-2")},
        77.52,
    ),
    Row("he2024/transfer", "all sequences, with CT", {"export": _scored("train-2")}, 80.55),
    Row("he2024/round-1", "+ anatomy filter, one round", {"export": _scored("train-3a")}, 81.18),
    Row("he2024/all", "three rounds", {}, 81.60),
)
YE_ROWS = (
    Row(
        "ye2023/teacher", "ye2023: 3-D teacher", {"export": _scored("train-teacher-organs")}, 77.52
    ),
    Row("ye2023/both", "2-D student, both branches", {"export": _scored("student-2")}),
    Row("ye2023/organs", "+ organ branch", {"export": _scored("student-3")}),
    Row("ye2023/all", "+ tumor branch", {}, 79.65),
    Row("ye2023/unlabeled", "with unlabeled cases first", {}, 77.02, "unlabeled"),
)
TUMOR = ("tumor",)
STMT_ROWS = (
    Row(
        "stmt2023/full",
        "stmt2023: fully labeled cases",
        {
            "train-organs": {
                "inputs": {"partial": (), "pseudo": ()},
                "training": _shares("labeled"),
            },
            "export": _scored("train-coarse", "train-organs"),
        },
        87.86,
    ),
    Row(
        "stmt2023/partial",
        "+ partially labeled",
        {
            "train-organs": {"inputs": {"pseudo": ()}, "training": _shares("labeled", "partial")},
            "export": _scored("train-coarse", "train-organs"),
        },
        89.1,
    ),
    Row("stmt2023/all", "+ unlabeled, tumors merged", {}, 89.6),
    Row(
        "stmt2023/tumor",
        "tumors, supervised",
        {"train-tumor": {"training": {"method": "supervised"}}},
        46.69,
        organs=TUMOR,
    ),
    Row("stmt2023/teacher", "tumors, mean teacher", {}, 52.08, organs=TUMOR),
)
ABLATION_ROWS = (*LI_ROWS, *ZHU_ROWS, *HE_ROWS, *YE_ROWS, *STMT_ROWS)


def _steps(count: int) -> Mapping[str, Any]:
    return {"training": {"trainer": {"steps": count}}}


_FEW = _steps(600)
REAL_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
    Row(
        "li2024/fake-600",
        "li2024, first network (CT and fake MR), 600 steps each",
        {"translator": _FEW, "train-big-0": _FEW, "export": _scored("train-big-0")},
    ),
    Row("li2024/all", "li2024"),
    Row(
        "zhu2024/short",
        "zhu2024, shortened: 1000 and 4 x 600 steps",
        {
            "translator": _steps(1000),
            "train-edges": _FEW,
            "train-round-2": _FEW,
            "train-round-3": _FEW,
            "train-small": _FEW,
        },
    ),
    Row("zhu2024/all", "zhu2024"),
    Row(
        "he2024/short",
        "he2024, shortened: 100, 2 x 300 and 3 x 100 steps",
        {
            "translator": _steps(100),
            "train-1": _steps(300),
            "train-2": _steps(300),
            **{f"train-3{part}": _steps(100) for part in "abc"},
        },
    ),
    Row("he2024/all", "he2024"),
)
PEERS = (
    ("SLAug (Su et al., AAAI 2023)", 0.886),
    ("GIN-IPA (Ouyang et al., IEEE TMI 2023)", 0.863),
    ("supervised on MR", 0.93),
)
"""Published mean DSC of liver, kidneys and spleen, abdominal CT to CHAOS T2-SPIR, other splits."""
