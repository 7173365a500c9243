"""What a network of a pool training should say of each voxel, by branch; 255 teaches nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from FlareMRCore.data.dataset import EXTRA_STRUCTURES
from FlareMRCore.data.labels import organ_table
from FlareMRCore.data.volume import LabelMap
from FlareMRCore.imaging.components import remove_small_components
from FlareMRCore.training.learning_parameters import IGNORE

TargetName = Literal["organs", "tumor", "organs-and-tumor", "foreground"]
TUMOR = EXTRA_STRUCTURES["tumor"]
ORGAN_COUNT = 14
BINARY_COUNT = 2
MIN_FOREGROUND_ML = 0.1
"""Smaller pieces are no foreground. Source: Liu et al. (StMt), FLARE 2023."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Target:
    """What is learned.

    Attributes:
        name: ``"organs"``: 13 organs; ``"tumor"``: tumors; ``"organs-and-tumor"``: a branch for
            each; ``"foreground"``: anything or nothing, without holes.
        tumor_in_organs: what the organ branch sees where there is a tumor: ``"ignore"`` or
            ``"background"``.
    """

    name: TargetName = "organs"
    tumor_in_organs: Literal["ignore", "background"] = "ignore"

    @property
    def classes(self) -> tuple[int, ...]:
        """Classes of each branch, background included."""
        counts = {"organs": (ORGAN_COUNT,), "organs-and-tumor": (ORGAN_COUNT, BINARY_COUNT)}
        return counts.get(self.name, (BINARY_COUNT,))


def target_labels(labels: LabelMap, annotated: Collection[int], target: Target) -> Labels:
    """Labels (branches, K, J, I) of a case.

    Args:
        labels: values of `structure_table`.
        annotated: values that were looked for; what may hide others is ignored.
        target: what is learned.
    """
    if target.name == "foreground":
        return _foreground(labels, annotated)[None]
    tumor = _tumor(labels.array, TUMOR in annotated)
    if target.name == "tumor":
        return tumor[None]
    organs = _organs(labels.array, target)
    stacked: Labels = np.stack((organs,) if target.name == "organs" else (organs, tumor))
    return stacked


def known_classes(annotated: Collection[int], target: Target) -> NDArray[np.bool_]:
    """Which classes of all branches a case teaches, bool (classes,); backgrounds always count."""
    known = np.ones(sum(target.classes), dtype=np.bool_)
    if target.name in ("organs", "organs-and-tumor"):
        known[1:ORGAN_COUNT] = [value in annotated for value in organ_table().values]
    return known


def _organs(array: Labels, target: Target) -> Labels:
    lookup = np.zeros(256, dtype=np.uint8)
    values = list(organ_table().values)
    lookup[values] = values
    lookup[IGNORE] = IGNORE
    lookup[TUMOR] = IGNORE if target.tumor_in_organs == "ignore" else 0
    mapped: Labels = lookup[array]
    return mapped


def _tumor(array: Labels, is_annotated: bool) -> Labels:  # noqa: FBT001 - one of two cases
    """1 for tumors; nothing is taught by a case in which nobody looked for them."""
    if not is_annotated:
        return np.full_like(array, IGNORE)
    found: Labels = (array == TUMOR).astype(np.uint8)
    found[array == IGNORE] = IGNORE
    return found


def _foreground(labels: LabelMap, annotated: Collection[int]) -> Labels:
    """1 where anything is, without holes and specks; background counts if all organs are known."""
    ignored = labels.array == IGNORE
    found = (labels.array > 0) & ~ignored
    filled = np.asarray(ndimage.binary_fill_holes(found)).astype(np.uint8)
    whole = LabelMap(filled, labels.geometry, labels.labels)
    kept = remove_small_components(whole, min_volume_ml=MIN_FOREGROUND_ML)
    result: Labels = np.array(kept.array)
    everything = set(organ_table().values) <= set(annotated)
    result[ignored | (result == 0)] = IGNORE if not everything else 0
    result[ignored & (result != 1)] = IGNORE
    return result
