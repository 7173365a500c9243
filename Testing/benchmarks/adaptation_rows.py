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
        title: what this row has.
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


SEQUENCES = ("venous", "t2_fs", "t1_in", "t2", "t1_out", "arterial", "dwi", "delay")
COHORT: Mapping[str, Any] = MappingProxyType(
    {"ct_cases": 8, "mr_cases": 4, "sequences_each": 4, "test_cases": 8, "sequences": SEQUENCES,
     "spacing_mm": 8.0}
)  # fmt: skip
"""The people of the phantom table, the same for all rows; in the test one of each sequence."""

PHANTOM_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
    Row("li2024/all", "li2024"),
    Row("zhu2024/all", "zhu2024"),
    Row("he2024/all", "he2024"),
    Row("ye2023/all", "ye2023"),
    Row("stmt2023/all", "stmt2023"),
)
REAL_ROWS = (
    Row("ct-only/all", "CT only"),
    Row("contrast-randomized/all", "contrast-randomized CT"),
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
