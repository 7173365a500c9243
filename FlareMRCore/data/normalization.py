"""How the intensities of an image become what a network sees: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from FlareMRCore.errors import UsageError

Rule = Literal["foreground", "z-score", "unit", "fixed", "fitted"]


@dataclass(frozen=True, slots=True)
class Normalization:
    """Clipping, then scaling; always the same in training and inference.

    Attributes:
        rule: ``"foreground"``: standardized by the image's own foreground, see
            `imaging.intensity`, without any clipping here; ``"z-score"``: mean 0 and deviation 1
            over the network's input; ``"unit"``: lowest value 0, highest 1 (of `clip` if given);
            ``"fixed"``: `mean` 0 and `std` 1; ``"fitted"``: ``"fixed"`` with the percentiles,
            mean and deviation of all annotated voxels, found when a training begins.
        clip: lowest and highest value, in the image's unit (HU for CT); empty for none.
        clip_percentiles: the same as percentiles of the network's input; empty for none.
        mean: of ``"fixed"``, in the image's unit.
        std: of ``"fixed"``, in the image's unit.
    """

    rule: Rule = "foreground"
    clip: tuple[float, ...] = ()
    clip_percentiles: tuple[float, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        for name, pair in (("clip", self.clip), ("clip_percentiles", self.clip_percentiles)):
            if pair and (len(pair) != 2 or pair[0] >= pair[1]):
                raise UsageError(
                    f"{name} is a lower and a higher number, is {pair}.", code="usage.normalization"
                )
        if self.std <= 0:
            raise UsageError(f"std is positive, is {self.std}.", code="usage.normalization")
